/** The dialect, the views and the administration statements as the front-end takes them: one set a process. */
import type { Clock } from '../platform/clock.ts';
import { executeAdmin } from './admin/execute.ts';
import { loadTableShape } from './dialect/table-shape.ts';
import { MysqlDialect } from './dialect/translate.ts';
import type { StatementServices } from './plan.ts';
import type { ServerRow } from './views/view-definitions.ts';
import { ViewEngine } from './views/view-engine.ts';

export interface StatementServicesOptions {
  readonly clock: Clock;
  /** a query over the views that takes longer is given up */
  readonly viewTimeoutMs: number;
  /** this server as the views show it; null while it is not known */
  readonly server: () => ServerRow | null;
}

/** `close` ends the thread of the views. */
export function createStatementServices(
  options: StatementServicesOptions,
): StatementServices & { close(): Promise<void> } {
  const views = new ViewEngine({
    clock: options.clock,
    timeoutMs: options.viewTimeoutMs,
    server: options.server,
  });
  return {
    dialect: new MysqlDialect(),
    runView: (sql, parameters, context) => views.run(sql, parameters, context),
    executeAdmin,
    loadTableShape,
    close: () => views.close(),
  };
}
