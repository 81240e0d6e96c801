/**
 * How a configuration is described: each key with its type, range, default and what it is for, from which come the parser, the
 * sample file and the reference table. What the server's and the arbiter's have in common.
 */
import { z } from 'zod';

interface KeyNotes {
  readonly description: string;
  /** shown in the sample file where there is no default */
  readonly sample?: string;
  readonly reloadable?: boolean;
}

export const notes = z.registry<KeyNotes>();

export const text = (description: string) => z.string().min(1).max(4096).register(notes, { description });
export const whole = (min: number, max: number, byDefault: number, description: string, reloadable = false) =>
  z.int().min(min).max(max).default(byDefault).register(notes, { description, reloadable });
export const port = (byDefault: number, description: string) => whole(0, 65_535, byDefault, description);
export const host = (description: string) =>
  z.string().min(1).max(255).default('127.0.0.1').register(notes, { description });
export const filePath = (description: string) =>
  z.string().min(1).max(4096).nullable().default(null).register(notes, { description });

export const section = <Shape extends z.core.$ZodLooseShape>(shape: Shape, description: string) =>
  z
    .strictObject(shape)
    .prefault({} as never)
    .register(notes, { description });

export const address = (description: string) =>
  z
    .string()
    .regex(/^.+:\d{1,5}$/, 'host:port')
    .nullable()
    .default(null)
    .register(notes, { description });
export const place = (byDefault: string, description: string) =>
  z
    .string()
    .regex(/^[A-Za-z0-9_.-]{1,64}$/, 'letters, digits, "_", "." and "-", at most 64')
    .default(byDefault)
    .register(notes, { description });

/** One row of the reference table. `path` is dotted. */
export interface ConfigKey {
  readonly path: string;
  readonly type: string;
  /** undefined when the key is required */
  readonly byDefault: unknown;
  readonly reloadable: boolean;
  readonly description: string;
  /** a group of keys, itself without a value */
  readonly isSection: boolean;
  /** for the sample file, where there is no default */
  readonly sample: string | null;
}

/** Every key of the schema, sections before their keys, in the order of the file. */
export function keysOf(shape: Readonly<Record<string, z.core.$ZodType>>, prefix = ''): ConfigKey[] {
  const keys: ConfigKey[] = [];
  for (const [name, schema] of Object.entries(shape)) {
    const path = prefix + name;
    const note = notes.get(schema) ?? { description: '' };
    const inner = innermost(schema);
    const isSection = inner instanceof z.ZodObject;
    const filled = z.safeParse(schema, undefined);
    keys.push({
      path,
      type: isSection ? 'section' : typeText(inner),
      byDefault: isSection || !filled.success ? undefined : filled.data,
      reloadable: note.reloadable ?? false,
      description: note.description,
      isSection,
      sample: note.sample ?? null,
    });
    if (isSection) keys.push(...keysOf((inner as z.ZodObject).shape, `${path}.`));
  }
  return keys;
}

function innermost(schema: z.core.$ZodType): z.core.$ZodType {
  let current = schema;
  while (
    current instanceof z.ZodDefault ||
    current instanceof z.ZodPrefault ||
    current instanceof z.ZodNullable
  ) {
    current = current.unwrap() as z.core.$ZodType;
  }
  return current;
}

function typeText(schema: z.core.$ZodType): string {
  if (schema instanceof z.ZodEnum) return schema.options.join(' | ');
  if (schema instanceof z.ZodUnion)
    return schema.options.map(option => String((option as z.ZodLiteral).value)).join(' | ');
  if (schema instanceof z.ZodArray) return 'list';
  if (schema instanceof z.ZodNumber) return `${schema.minValue} … ${schema.maxValue}`;
  return 'text';
}
