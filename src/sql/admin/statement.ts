/** What ALTER SYSTEM, CREATE TENANT and their kin ask for, parsed. */

export interface AdminStatement {
  readonly kind: string;
}
