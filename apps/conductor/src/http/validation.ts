/** The door of requests: routes declare zod schemas for `params`, `querystring` and `body`, and get typed values. */
import type { FastifySchemaCompiler, FastifySerializerCompiler, FastifyTypeProvider } from 'fastify';
import { z } from 'zod';

import { ConductorError } from '../errors.ts';

/** Makes `app.withTypeProvider<ZodTypes>()` infer what a route gets from its zod schemas. */
export interface ZodTypes extends FastifyTypeProvider {
  readonly validator: this['schema'] extends z.ZodType ? z.output<this['schema']> : unknown;
  readonly serializer: this['schema'] extends z.ZodType ? z.input<this['schema']> : unknown;
}

/** Parses with the route's zod schema; what does not fit is refused with code `request-invalid`, naming each field. */
export const validatorCompiler: FastifySchemaCompiler<unknown> = ({ schema, httpPart }) => {
  if (!(schema instanceof z.ZodType)) throw new TypeError(`Schema of ${httpPart ?? ''} is not a zod schema`);
  return (value: unknown) => {
    const parsed = schema.safeParse(value);
    if (parsed.success) return { value: parsed.data };
    const fields = parsed.error.issues.map(({ path, message }) => ({
      field: [httpPart === 'querystring' ? 'query' : httpPart, ...path].map(String).join('.'),
      message,
    }));
    const shown = fields.map(({ field, message }) => `${field}: ${message}`).join('; ');
    const message = `Cannot take the request: ${shown}`;
    return { error: new ConductorError('request-invalid', message, { details: { fields } }) };
  };
};

/** Answers are ours: their schemas document them and are not enforced. */
export const serializerCompiler: FastifySerializerCompiler<unknown> = () => (value) => JSON.stringify(value);
