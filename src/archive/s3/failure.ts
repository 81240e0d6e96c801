/** What an S3 error answer, or the lack of an answer, means. */

export interface S3Failure {
  /**
   * `doubt`: it may have happened, or may work later. `refused`: it did not happen and will not without somebody's
   * help (credentials, bucket, a method the store does not have).
   */
  readonly kind: 'doubt' | 'refused';
  /** HTTP status; 0 if there was no answer */
  readonly status: number;
  readonly name: string;
  readonly why: string;
}

const retryable = new Set([0, 408, 409, 412, 416, 423, 425, 429]);

export function s3Failure(error: unknown): S3Failure {
  const name = error instanceof Error ? error.name : 'Error';
  const message = error instanceof Error ? error.message : String(error);
  const status = statusOf(error);
  const serverSide = status >= 500 && status !== 501;
  // a success status with an error is a body that broke off
  const doubt = retryable.has(status) || serverSide || status < 300 || name === 'RequestTimeout';
  const why = status === 0 ? message : `${name} (${status})`;
  return { kind: doubt ? 'doubt' : 'refused', status, name, why: why.slice(0, 200) };
}

function statusOf(error: unknown): number {
  if (typeof error !== 'object' || error === null || !('$metadata' in error)) return 0;
  const metadata: unknown = error.$metadata;
  if (typeof metadata !== 'object' || metadata === null || !('httpStatusCode' in metadata)) return 0;
  return typeof metadata.httpStatusCode === 'number' ? metadata.httpStatusCode : 0;
}
