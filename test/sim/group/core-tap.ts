/**
 * Sees every step of every palf core of a simulation: what went in, what came out, the picture after it. It stands in
 * front of the class itself, so that the real driver runs the real core and nothing in between can leave it out.
 */
import type { MonoMs, NodeId } from '../../../src/base/scalars.ts';
import { PalfCore } from '../../../src/palf/core.ts';
import type { PalfView } from '../../../src/palf/view.ts';
import type { PalfEffect } from '../../../src/palf/effects.ts';
import type { PalfInput } from '../../../src/palf/inputs.ts';

export interface CoreStep {
  readonly self: NodeId;
  readonly core: PalfCore;
  readonly input: PalfInput;
  readonly effects: readonly PalfEffect[];
  readonly view: PalfView;
  /** undefined at the first step */
  readonly before: PalfView | undefined;
  readonly now: MonoMs;
}

export interface CoreWatcher {
  /** After each step; the effects it gives back are those that are carried out. */
  stepped(step: CoreStep): readonly PalfEffect[];
}

interface Tapped {
  readonly self: NodeId;
  view: PalfView;
}

const realStep = PalfCore.prototype.step;

/** From now on the watcher sees every core of this process. Returns the end of it. */
export function tapCores(watcher: CoreWatcher): () => void {
  const tapped = new WeakMap<PalfCore, Tapped>();
  PalfCore.prototype.step = function step(this: PalfCore, input, now) {
    const effects = realStep.call(this, input, now);
    const known = tapped.get(this);
    const self = known?.self ?? (input.kind === 'boot' ? input.self : undefined);
    if (self === undefined) return effects;
    const view = this.view();
    tapped.set(this, { self, view });
    return watcher.stepped({ self, core: this, input, effects, view, before: known?.view, now });
  };
  return () => {
    PalfCore.prototype.step = realStep;
  };
}
