/** The role manager's store over the sys tenant: the row and the journal change together or not at all. */
import { ObError } from '../base/errors.ts';
import { roleJournalsMax } from '../base/limits.ts';
import type { TenantId } from '../base/scalars.ts';
import type { RoleStore } from '../role/ports.ts';
import type { RoleRow } from '../role/row.ts';
import type { JournalEntry, StepId } from '../role/steps.ts';
import type { Statements, SysSession } from './sys-session.ts';

export class SysRoleStore implements RoleStore {
  readonly #session: SysSession;
  readonly #id: TenantId;
  readonly #onStep: (step: StepId) => void;

  constructor(session: SysSession, id: TenantId, onStep: (step: StepId) => void) {
    this.#session = session;
    this.#id = id;
    this.#onStep = onStep;
  }

  load(): Promise<RoleRow> {
    return loadRow({ query: (sql, ...parameters) => this.#session.query(sql, ...parameters) }, this.#id);
  }

  async compareAndSet(
    expected: RoleRow,
    next: RoleRow,
    journal: readonly JournalEntry[],
  ): Promise<{ stored: boolean; row: RoleRow }> {
    const outcome = await this.#session.transaction(async statements => {
      const changed = await statements.run(
        `UPDATE __obs_role SET revision = ?, role = ?, switchover_status = ?, epoch = ?, step = ?, row = ?
         WHERE tenant_id = ? AND revision = ? AND role = ? AND switchover_status = ? AND epoch = ? AND step IS ?`,
        next.revision,
        next.role,
        next.switchoverStatus,
        next.epoch,
        next.step,
        JSON.stringify(next),
        this.#id,
        expected.revision,
        expected.role,
        expected.switchoverStatus,
        expected.epoch,
        expected.step,
      );
      if (changed === 0) return { stored: false, row: await loadRow(statements, this.#id) };
      await this.#write(statements, journal);
      return { stored: true, row: next };
    });
    if (outcome.stored && next.step !== null && next.step !== expected.step) this.#onStep(next.step);
    return outcome;
  }

  writeJournal(entries: readonly JournalEntry[]): Promise<void> {
    return this.#session.transaction(statements => this.#write(statements, entries));
  }

  async readJournal(operationId: string): Promise<readonly JournalEntry[]> {
    const rows = await this.#session.query(
      'SELECT entry FROM __obs_role_journal WHERE tenant_id = ? AND operation_id = ? ORDER BY begun',
      this.#id,
      operationId,
    );
    return rows.map(row => JSON.parse(String(row['entry'])) as JournalEntry);
  }

  /** The key is (operation, site, step); a repeat overwrites and keeps its place. The oldest operations go. */
  async #write({ run }: Statements, entries: readonly JournalEntry[]): Promise<void> {
    for (const entry of entries) {
      await run(
        `INSERT INTO __obs_role_journal (tenant_id, operation_id, site, step, begun, entry)
         VALUES (?, ?, ?, ?, (SELECT coalesce(max(begun), 0) + 1 FROM __obs_role_journal WHERE tenant_id = ?), ?)
         ON CONFLICT (tenant_id, operation_id, site, step) DO UPDATE SET entry = excluded.entry`,
        this.#id,
        entry.operationId,
        entry.site,
        entry.step,
        this.#id,
        JSON.stringify(entry),
      );
    }
    await run(
      `DELETE FROM __obs_role_journal WHERE tenant_id = ? AND operation_id NOT IN (
         SELECT operation_id FROM __obs_role_journal WHERE tenant_id = ?
         GROUP BY operation_id ORDER BY max(begun) DESC LIMIT ?)`,
      this.#id,
      this.#id,
      roleJournalsMax,
    );
  }
}

async function loadRow({ query }: Pick<Statements, 'query'>, id: TenantId): Promise<RoleRow> {
  const [row] = await query('SELECT row FROM __obs_role WHERE tenant_id = ?', id);
  if (row === undefined) throw new ObError('OBS_SERVER_TENANT_NO_ROLE', { tenant: id });
  return JSON.parse(String(row['row'])) as RoleRow;
}
