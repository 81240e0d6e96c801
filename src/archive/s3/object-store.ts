/**
 * Objects in an S3-compatible bucket. The SDK's own retries are off: an attempt whose answer was lost may have landed,
 * and a blind repeat would turn success into "exists". Here every doubt (5xx, timeout, cut connection, 409, 412) is
 * settled by reading back and comparing bytes; every operation has a deadline.
 *
 * Never trusts LIST for more than a hint, never sends streams, never writes to a versioned bucket (some stores ignore
 * write conditions there).
 */
import {
  CreateBucketCommand,
  DeleteObjectCommand,
  GetBucketVersioningCommand,
  GetObjectCommand,
  HeadBucketCommand,
  ListObjectsV2Command,
  PutObjectCommand,
  S3Client,
} from '@aws-sdk/client-s3';
import { ObError } from '../../base/errors.ts';
import { listedKeysMaxDefault, storeObjectBytesMax } from '../../base/limits.ts';
import type { MonoMs } from '../../base/scalars.ts';
import type { ObjectStore } from '../../platform/object-store.ts';
import { checkKey, sameBytes } from '../object-key.ts';
import { backoffMs, pause, type StoreSurroundings } from '../store-deadline.ts';
import { printStoreLocation, type StoreLocation } from '../store-location.ts';
import { type S3Failure, s3Failure } from './failure.ts';

export interface S3StoreOptions extends StoreSurroundings {
  readonly location: Extract<StoreLocation, { kind: 's3' }>;
}

export class S3ObjectStore implements ObjectStore {
  readonly name: string;
  readonly #options: S3StoreOptions;
  readonly #client: S3Client;
  readonly #bucket: string;
  readonly #prefix: string;

  constructor(options: S3StoreOptions) {
    const { location, timing } = options;
    this.#options = options;
    this.#bucket = location.bucket;
    this.#prefix = location.prefix === '' ? '' : `${location.prefix}/`;
    this.name = printStoreLocation(location);
    const keys = location.credentials;
    this.#client = new S3Client({
      region: location.region,
      maxAttempts: 1,
      // stores other than AWS refuse or corrupt bodies with the default trailing checksums
      requestChecksumCalculation: 'WHEN_REQUIRED',
      responseChecksumValidation: 'WHEN_REQUIRED',
      requestHandler: { connectionTimeout: timing.requestMs, requestTimeout: timing.requestMs },
      ...(location.endpoint === null ? {} : { endpoint: location.endpoint, forcePathStyle: true }),
      ...(keys === null
        ? {}
        : {
            credentials: {
              accessKeyId: keys.accessKeyId,
              secretAccessKey: keys.secretAccessKey,
              ...(keys.sessionToken === null ? {} : { sessionToken: keys.sessionToken }),
            },
          }),
    });
  }

  /** The bucket is there (or is made, when the location says create=true) and is not versioned. */
  async preflight(access: 'read' | 'write'): Promise<void> {
    const { location } = this.#options;
    if (access === 'read') {
      await this.list('', { max: 1 });
      return;
    }
    await this.#retrying('HeadBucket', async signal => {
      try {
        await this.#client.send(new HeadBucketCommand({ Bucket: this.#bucket }), { abortSignal: signal });
      } catch (error) {
        const missing = s3Failure(error).status === 404;
        if (!missing || !location.create) throw missing ? this.#noBucket() : error;
        await this.#client.send(new CreateBucketCommand({ Bucket: this.#bucket }), { abortSignal: signal });
      }
    });
    await this.#retrying('GetBucketVersioning', async signal => {
      const command = new GetBucketVersioningCommand({ Bucket: this.#bucket });
      const status = await this.#client.send(command, { abortSignal: signal }).catch((error: unknown) => {
        // not told, or not allowed to know: the write probe looks for version ids as well
        if ([403, 405, 501].includes(s3Failure(error).status)) return { Status: undefined };
        throw error;
      });
      if (status.Status !== undefined) throw new ObError('OBS_ARCHIVE_BUCKET_VERSIONED', { dest: this.name });
    });
  }

  async get(key: string): Promise<Uint8Array | undefined> {
    checkKey(key);
    return this.#retrying(`GET ${key}`, signal => this.#get(key, signal));
  }

  async getRange(key: string, start: number, length: number): Promise<Uint8Array | undefined> {
    checkKey(key);
    if (length === 0) return new Uint8Array(0);
    const range = `bytes=${start}-${start + length - 1}`;
    return this.#retrying(`GET ${key}`, async signal => {
      try {
        return await this.#get(key, signal, range);
      } catch (error) {
        if (s3Failure(error).status === 416) return new Uint8Array(0);
        throw error;
      }
    });
  }

  async putIfAbsent(key: string, bytes: Uint8Array): Promise<'created' | 'exists'> {
    checkKey(key);
    const { clock, random, timing } = this.#options;
    const giveUpAt = clock.now() + timing.operationMs;
    let why = 'no answer';
    for (let attempt = 0; ; attempt += 1) {
      const doubt = await this.#putOnce(key, bytes, true);
      if (doubt === undefined) return 'created';
      if (doubt.kind === 'refused') throw this.#error(doubt);
      why = doubt.why;
      // whatever the doubt is, what lies there now decides
      const there = await this.#readBack(key, giveUpAt as MonoMs);
      if (there !== undefined && there !== 'silent') return sameBytes(there, bytes) ? 'created' : 'exists';
      if (clock.now() >= giveUpAt)
        throw new ObError('OBS_ARCHIVE_OUTCOME_UNKNOWN', { dest: this.name, key, why });
      await pause(clock, backoffMs(attempt, random));
    }
  }

  async put(key: string, bytes: Uint8Array): Promise<void> {
    checkKey(key);
    await this.#retrying(`PUT ${key}`, async () => {
      const doubt = await this.#putOnce(key, bytes, false);
      if (doubt !== undefined) throw this.#error(doubt);
    });
  }

  async delete(key: string): Promise<void> {
    checkKey(key);
    await this.#retrying(`DELETE ${key}`, async signal => {
      const command = new DeleteObjectCommand({ Bucket: this.#bucket, Key: this.#prefix + key });
      await this.#client.send(command, { abortSignal: signal });
    });
  }

  async list(prefix: string, options: { after?: string; max?: number } = {}): Promise<string[]> {
    const max = options.max ?? listedKeysMaxDefault;
    const keys: string[] = [];
    let after = options.after ?? '';
    while (keys.length < max) {
      const page = await this.#retrying(`LIST ${prefix}`, signal =>
        this.#client.send(
          new ListObjectsV2Command({
            Bucket: this.#bucket,
            Prefix: this.#prefix + prefix,
            MaxKeys: Math.min(1_000, max - keys.length),
            ...(after === '' ? {} : { StartAfter: this.#prefix + after }),
          }),
          { abortSignal: signal },
        ),
      );
      const found = (page.Contents ?? []).map(({ Key = '' }) => Key.slice(this.#prefix.length));
      keys.push(...found);
      const last = found.at(-1);
      if (last === undefined || page.IsTruncated !== true) break;
      after = last;
    }
    return keys;
  }

  close(): Promise<void> {
    this.#client.destroy();
    return Promise.resolve();
  }

  async #get(key: string, signal: AbortSignal, range?: string): Promise<Uint8Array | undefined> {
    const command = new GetObjectCommand({
      Bucket: this.#bucket,
      Key: this.#prefix + key,
      ...(range === undefined ? {} : { Range: range }),
    });
    try {
      const answer = await this.#client.send(command, { abortSignal: signal });
      const announced = answer.ContentLength ?? 0;
      if (announced > storeObjectBytesMax) throw new Error(`${key} has ${announced} bytes`);
      const bytes = (await answer.Body?.transformToByteArray()) ?? new Uint8Array(0);
      if (bytes.length !== announced) throw new Error(`${bytes.length} of ${announced} bytes came`);
      return bytes;
    } catch (error) {
      const failure = s3Failure(error);
      if (failure.status === 404) {
        if (failure.name === 'NoSuchBucket') throw this.#noBucket();
        return undefined;
      }
      throw error;
    }
  }

  /** One PUT; undefined is a clean success. */
  async #putOnce(key: string, bytes: Uint8Array, ifAbsent: boolean): Promise<S3Failure | undefined> {
    try {
      const answer = await this.#once(signal =>
        this.#client.send(
          new PutObjectCommand({
            Bucket: this.#bucket,
            Key: this.#prefix + key,
            Body: bytes,
            ContentLength: bytes.length,
            ...(ifAbsent ? { IfNoneMatch: '*' } : {}),
          }),
          { abortSignal: signal },
        ),
      );
      if (ifAbsent && answer.VersionId !== undefined && answer.VersionId !== 'null')
        throw new ObError('OBS_ARCHIVE_BUCKET_VERSIONED', { dest: this.name });
      return undefined;
    } catch (error) {
      if (error instanceof ObError) throw error;
      return s3Failure(error);
    }
  }

  /** The object's bytes, undefined if it is not there, `silent` if the store does not tell before the deadline. */
  async #readBack(key: string, giveUpAt: MonoMs): Promise<Uint8Array | undefined | 'silent'> {
    const { clock, random } = this.#options;
    for (let attempt = 0; ; attempt += 1) {
      try {
        return await this.#once(signal => this.#get(key, signal));
      } catch (error) {
        if (error instanceof ObError) throw error;
        const failure = s3Failure(error);
        if (failure.kind === 'refused') throw this.#error(failure);
        if (clock.now() >= giveUpAt) return 'silent';
        await pause(clock, backoffMs(attempt, random));
      }
    }
  }

  /** For operations that may be repeated: until they work, are refused, or the deadline has passed. */
  async #retrying<T>(what: string, attemptOnce: (signal: AbortSignal) => Promise<T>): Promise<T> {
    const { clock, random, timing } = this.#options;
    const giveUpAt = clock.now() + timing.operationMs;
    for (let attempt = 0; ; attempt += 1) {
      try {
        return await this.#once(attemptOnce);
      } catch (error) {
        if (error instanceof ObError && error.kind !== 'unavailable') throw error;
        const failure = s3Failure(error);
        if (failure.kind === 'refused') throw this.#error(failure);
        if (clock.now() >= giveUpAt)
          throw new ObError(
            'OBS_ARCHIVE_UNAVAILABLE',
            { dest: this.name, why: `${what}: ${failure.why}` },
            error,
          );
        await pause(clock, backoffMs(attempt, random));
      }
    }
  }

  async #once<T>(attempt: (signal: AbortSignal) => Promise<T>): Promise<T> {
    const { clock, timing } = this.#options;
    const abort = new AbortController();
    const timer = clock.after(timing.requestMs, () => {
      abort.abort(new Error(`no answer in ${timing.requestMs} ms`));
    });
    try {
      return await attempt(abort.signal);
    } finally {
      timer.cancel();
    }
  }

  #noBucket(): ObError {
    return new ObError('OBS_ARCHIVE_NO_DESTINATION', { dest: this.name });
  }

  #error(failure: S3Failure): ObError {
    if (failure.name === 'NoSuchBucket') return this.#noBucket();
    if (failure.status === 501)
      return new ObError('OBS_ARCHIVE_NO_CONDITIONAL_WRITES', { dest: this.name, why: failure.why });
    if (failure.status === 507 || failure.name === 'QuotaExceeded' || failure.name === 'XMinioStorageFull')
      return new ObError('OBS_ARCHIVE_FULL', { dest: this.name });
    if (failure.kind === 'refused')
      return new ObError('OBS_ARCHIVE_DENIED', { dest: this.name, why: failure.why });
    return new ObError('OBS_ARCHIVE_UNAVAILABLE', { dest: this.name, why: failure.why });
  }
}
