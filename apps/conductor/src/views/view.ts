/**
 * What views are made of: named shapes whose fields all carry a description.
 * Invariant: `null` says that there is none; a field is never left out, so that a program may rely on every one.
 */
import { z } from 'zod';

/**
 * Names a shape. The name becomes that of its TypeScript interface and of its component in OpenAPI.
 *
 * @param id - such as `JobView`
 * @param description - one sentence without its full stop
 * @param shape - one schema a field, checked against the interface
 */
export function view<T extends object>(
  id: string,
  description: string,
  shape: { readonly [Key in keyof T]-?: z.ZodType<T[Key]> },
): z.ZodType<T> {
  const named: z.ZodObject = z.object(shape);
  return named.meta({ id, description }) as z.ZodType<T>;
}

/** Text. */
export function text(description: string): z.ZodType<string> {
  return z.string().describe(description);
}

/** A whole number of at least 0. */
export function count(description: string): z.ZodType<number> {
  return z.int().min(0).describe(description);
}

/** Any whole number. */
export function whole(description: string): z.ZodType<number> {
  return z.int().describe(description);
}

/** An instant: UTC milliseconds. */
export function atMs(description: string): z.ZodType<number> {
  return z.int().describe(`${description}, UTC milliseconds`);
}

/** Yes or no. */
export function flag(description: string): z.ZodType<boolean> {
  return z.boolean().describe(description);
}

/** One of some words. */
export function oneOf<const Value extends string>(
  values: readonly Value[],
  description: string,
): z.ZodType<Value> {
  return z.enum(values).describe(description);
}

/** The same, or `null`. */
export function orNull<T>(schema: z.ZodType<T>, description?: string): z.ZodType<T | null> {
  return schema.nullable().describe(description ?? schema.description ?? '');
}

/** A list. */
export function listOf<T>(schema: z.ZodType<T>, description: string): z.ZodType<readonly T[]> {
  return z.array(schema).describe(description);
}

/** Values by name. */
export function mapOf<T>(schema: z.ZodType<T>, description: string): z.ZodType<Readonly<Record<string, T>>> {
  return z.record(z.string(), schema).describe(description);
}

/** Any JSON, as somebody else wrote it. */
export function anyJson(description: string): z.ZodType {
  return z.unknown().describe(description);
}

/** Where the next page begins. */
export const nextCursor: z.ZodType<string | null> = orNull(
  text('Where the next page begins; null on the last one. A page may be short and yet not be the last'),
);
