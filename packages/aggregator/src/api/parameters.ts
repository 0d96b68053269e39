import { parseTimestamp } from '@chronicleweaver/protocol';
import { Ajv } from 'ajv';

/**
 * Checks the parameters of path and query by their schemas. Unlike Fastify's own validator it refuses a parameter that
 * it does not know instead of dropping it (`?limt=10` must not answer with everything), and it names all that is wrong.
 */
const ajv = new Ajv({
  allErrors: true,
  coerceTypes: true,
  useDefaults: true,
  formats: { 'iso-date-time': (text: string) => parseTimestamp(text) !== undefined },
});

export function compileParameters({ schema }: { schema: unknown }) {
  return ajv.compile(schema as object);
}
