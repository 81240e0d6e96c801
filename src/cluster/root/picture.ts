/**
 * The cluster as the root service tells every server: servers, tenants, and which server holds which replica. Old on a server that has not
 * heard from the root service for a while; who leads a stream is not in it, since that is nobody's to tell but the stream's.
 */
import { z } from 'zod';
import { serverEventsReportMax } from '../../base/limits.ts';
import { clusterServerSchema } from './cluster-file.ts';
import { arbitrationPictureSchema, arbitrationStates, noArbitration } from './arbitration.ts';
import { addressShape, nodeShape, tenantShape } from './node-body.ts';

/** As DBA_OB_SERVERS shows it. INACTIVE: does not answer. DELETING: its replicas are moving away. */
const serverStatuses = ['ACTIVE', 'INACTIVE', 'DELETING'] as const;
export type ServerStatus = (typeof serverStatuses)[number];

const serverEntrySchema = clusterServerSchema.extend({
  /** counts the servers that ever belonged to the cluster */
  id: z.int(),
  status: z.enum(serverStatuses),
  /** microseconds since 1970, or null: not stopped */
  stopTime: z.int().nullable(),
  createTime: z.int(),
  startTime: z.int().nullable(),
  version: z.string().max(64),
  sqlAddress: addressShape.nullable(),
  peerAddress: addressShape.nullable(),
  httpAddress: addressShape.nullable(),
  /** how it was configured when it reported last; absent: it did not, to this leader of the root service */
  leaseMs: z.int().optional(),
});
export type ServerEntry = Readonly<z.output<typeof serverEntrySchema>>;

const replicaPlaceSchema = z.object({
  node: nodeShape,
  type: z.enum(['F', 'R']),
  replicaId: z.int(),
});

const tenantEntrySchema = z.object({
  tenantId: tenantShape,
  name: z.string().max(128),
  incarnation: z.string().max(128),
  status: z.enum(['CREATING', 'NORMAL', 'DROPPING']),
  locality: z.string(),
  previousLocality: z.string().nullable(),
  primaryZone: z.string(),
  arbitration: z.enum(arbitrationStates).default('DISABLED'),
  replicas: z.array(replicaPlaceSchema),
});
export type TenantEntry = Readonly<z.output<typeof tenantEntrySchema>>;

/** Orders pictures: by the leadership of the root service that made it, then by number. */
export const revisionSchema = z.object({ epoch: z.int(), number: z.int() });
export type Revision = Readonly<z.output<typeof revisionSchema>>;

export const pictureSchema = z.object({
  revision: revisionSchema,
  clusterId: z.string(),
  /** the server that leads the root service */
  root: nodeShape,
  arbitration: arbitrationPictureSchema.default(noArbitration as z.output<typeof arbitrationPictureSchema>),
  servers: z.array(serverEntrySchema),
  tenants: z.array(tenantEntrySchema),
});
export type ClusterPicture = Readonly<z.output<typeof pictureSchema>>;

export const isNewer = (one: Revision, other: Revision): boolean =>
  one.epoch !== other.epoch ? one.epoch > other.epoch : one.number > other.number;

/** What a server says of itself when it reports to the root service. */
const serverFactsSchema = clusterServerSchema.extend({
  version: z.string().max(64),
  startTime: z.int(),
  sqlAddress: addressShape.nullable(),
  peerAddress: addressShape.nullable(),
  httpAddress: addressShape.nullable(),
});
export type ServerFacts = Readonly<z.output<typeof serverFactsSchema>>;

/** A replica as its server reports it. */
const replicaReportSchema = z.object({
  tenantId: tenantShape,
  /** 0: from before replicas had numbers */
  replicaId: z.int(),
  leads: z.boolean(),
  members: z.array(nodeShape),
  learners: z.array(nodeShape),
  degraded: z.array(nodeShape).default([]),
  arbiter: nodeShape.nullable().default(null),
  /** committed end */
  endLsn: z.int(),
});
export type ReplicaReport = Readonly<z.output<typeof replicaReportSchema>>;

const serverEventSchema = z.object({
  /** what it came of; with the number it is told once, by however many and however often it is reported */
  boot: z.string().min(1).max(64),
  number: z.int(),
  /** microseconds since 1970 */
  time: z.int(),
  tenantId: tenantShape,
  module: z.string().max(64),
  event: z.string().max(64),
  detail: z.record(z.string().max(64), z.union([z.string().max(2048), z.number(), z.null()])),
});
/** Something that happened on a server, for DBA_OB_SERVER_EVENT_HISTORY. */
export type ServerEvent = Readonly<z.output<typeof serverEventSchema>>;

export const heartbeatSchema = z.object({
  server: serverFactsSchema,
  leaseMs: z.int().optional(),
  replicas: z.array(replicaReportSchema),
  /** of the picture it has */
  revision: revisionSchema.nullable(),
  /** that the root service has not taken yet, oldest first */
  events: z.array(serverEventSchema).max(serverEventsReportMax).default([]),
});
export type Heartbeat = Readonly<z.output<typeof heartbeatSchema>>;
