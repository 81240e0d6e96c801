/**
 * Remembers what tables of a tenant look like, for the dialect (DEFAULT inside VALUES, 0 for an AUTO_INCREMENT column).
 * Every DDL statement of the tenant passes through this process while it is the primary, and clears it before and
 * after; a change of the engine's mode clears it too. Followers change by replay, so nothing is kept for them.
 */
import { tableShapesMax } from '../base/limits.ts';
import type { EngineMode, TenantEngine } from '../tenant/engine.ts';
import type { TableShape } from './plan.ts';

export class TableShapes {
  readonly #shapes = new Map<string, TableShape | null>();
  #mode: EngineMode = 'closed';
  #version = 0;

  /** undefined: not known. Names are compared as SQLite does, without regard to ASCII case. */
  get(name: string): TableShape | null | undefined {
    return this.#shapes.get(name.toLowerCase());
  }

  clear(): void {
    this.#version++;
    this.#shapes.clear();
  }

  /** Loads the named tables that are not known. A load that a DDL statement overtook is used once and not kept. */
  async load(
    engine: TenantEngine,
    names: readonly string[],
    read: (name: string) => Promise<TableShape | null>,
  ): Promise<ReadonlyMap<string, TableShape | null>> {
    const mode = engine.state().mode;
    if (mode !== this.#mode) this.clear();
    this.#mode = mode;
    const version = this.#version;
    const loaded = new Map<string, TableShape | null>();
    for (const name of names) {
      const key = name.toLowerCase();
      const known = this.#shapes.get(key);
      const shape = known === undefined ? await read(name) : known;
      loaded.set(key, shape);
      if (mode !== 'leader' || version !== this.#version || this.#shapes.size >= tableShapesMax) continue;
      this.#shapes.set(key, shape);
    }
    return loaded;
  }
}

const shapesOfEngines = new WeakMap<TenantEngine, TableShapes>();

/** One cache a tenant, shared by its sessions. */
export function tableShapesOf(engine: TenantEngine): TableShapes {
  const known = shapesOfEngines.get(engine);
  if (known !== undefined) return known;
  const made = new TableShapes();
  shapesOfEngines.set(engine, made);
  return made;
}
