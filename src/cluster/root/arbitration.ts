/**
 * The arbitration service as a cluster keeps it: one arbiter, the tenants that use it, and the parameters that say when a
 * replica is degraded. Shapes and rules; decides nothing.
 */
import { z } from 'zod';
import { ObError } from '../../base/errors.ts';
import { arbitratedReplicas, arbitrationTimeoutMsMax } from '../../base/limits.ts';
import { arbitrationTimeoutMsMin, palfSettingsDefault } from '../../palf/settings.ts';
import { addressShape, nodeShape } from './node-body.ts';

/** As DBA_OB_TENANTS shows it. ENABLING, DISABLING: on its way; whoever leads the root service goes on with it. */
export const arbitrationStates = ['DISABLED', 'ENABLING', 'ENABLED', 'DISABLING'] as const;
export type ArbitrationState = (typeof arbitrationStates)[number];

export const degradationPolicies = ['LS_POLICY', 'CLUSTER_POLICY'] as const;

/** What every server is told, and keeps for when nobody can tell it. */
export const arbitrationPictureSchema = z.object({
  arbiter: z.object({ nodeId: nodeShape, address: addressShape }).nullable(),
  policy: z.enum(degradationPolicies),
  /** of tenants that have a time of their own */
  timeouts: z.array(z.object({ tenantId: z.int(), timeoutMs: z.int() })),
});
export type ArbitrationPicture = Readonly<z.output<typeof arbitrationPictureSchema>>;

export const noArbitration: ArbitrationPicture = {
  arbiter: null,
  policy: palfSettingsDefault.degradationPolicy,
  timeouts: [],
};

export const timeoutMsOf = ({ timeouts }: ArbitrationPicture, tenant: number): number =>
  timeouts.find(({ tenantId }) => tenantId === tenant)?.timeoutMs ?? palfSettingsDefault.arbitrationTimeoutMs;

export const isArbitrable = (fullReplicas: number): boolean => arbitratedReplicas.includes(fullReplicas);

/** An arbiter that answers says so of itself. */
export const arbiterDescriptionSchema = z.object({
  format: z.literal('obstandby-arbiter'),
  nodeId: nodeShape,
  version: z.string(),
  clusterName: z.string(),
  clusterId: z.string().nullable(),
  streams: z.int(),
});
export type DescribedArbiter = Readonly<z.output<typeof arbiterDescriptionSchema>>;

export const parameterNames = ['arbitration_timeout', 'arbitration_degradation_policy'] as const;
export type ParameterName = (typeof parameterNames)[number];

/** The value as it is stored and shown. Throws OBS_PARAMETER_VALUE. */
export function checkedParameter(name: ParameterName, value: string): string {
  const wrong = (wanted: string): ObError => new ObError('OBS_PARAMETER_VALUE', { name, value, wanted });
  if (name === 'arbitration_degradation_policy') {
    const policy = degradationPolicies.find(known => known === value.toUpperCase());
    if (policy === undefined) throw wrong(degradationPolicies.join(' or '));
    return policy;
  }
  const ms = parseTimeout(value);
  if (ms === null || ms < arbitrationTimeoutMsMin || ms > arbitrationTimeoutMsMax)
    throw wrong(
      `from ${arbitrationTimeoutMsMin / 1000}s to ${arbitrationTimeoutMsMax / 86_400_000}d, like 5s`,
    );
  return `${ms}ms`;
}

const unitsMs: Readonly<Record<string, number>> = { ms: 1, s: 1_000, m: 60_000, h: 3_600_000, d: 86_400_000 };

/** Milliseconds of `5s`, `1h`, `30d`; null for what is no time. */
export function parseTimeout(text: string): number | null {
  const match = /^(\d{1,12})(ms|s|m|h|d)$/i.exec(text.trim());
  const unit = unitsMs[match?.[2]?.toLowerCase() ?? ''];
  return match === null || unit === undefined ? null : Number(match[1]) * unit;
}
