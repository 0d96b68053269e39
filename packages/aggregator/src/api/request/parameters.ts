import { parseTimestamp } from '@chronicleweaver/protocol';
import { Ajv, type ErrorObject, type ValidateFunction } from 'ajv';
import { OWN_SCHEMAS } from '../../json-schema.ts';

/** A fault comes with the schema and the value, from which field-faults.ts says what was expected and what came. */
const TELLS_WHAT = { verbose: true } as const;

/**
 * Checks the parameters of path and query by their schemas. Unlike Fastify's own validator it refuses an unknown
 * parameter instead of dropping it (`?limt=10` must not return everything), and names every fault.
 */
const ajv = new Ajv({
  ...OWN_SCHEMAS,
  ...TELLS_WHAT,
  allErrors: true,
  useDefaults: true,
  formats: { 'iso-date-time': (text: string) => parseTimestamp(text) !== undefined },
});

/** For bodies, which may be long: the first fault is enough. */
const bodyAjv = new Ajv({ ...OWN_SCHEMAS, ...TELLS_WHAT, useDefaults: true, allowUnionTypes: true });

/** Checks a JSON body by its schema. Unlike parameters its values have types, so none is converted. */
export function compileBody(schema: object) {
  const validate = checkOf(bodyAjv, schema);
  return (body: unknown) => {
    const error = validate(body);
    return error === null ? { value: body } : { error };
  };
}

/** Says what is wrong, or null. Made for the first value: all together they would take a tenth of the start. */
function checkOf(by: Ajv, schema: object): (value: unknown) => ErrorObject[] | null {
  let validate: ValidateFunction | undefined;
  return (value) => {
    validate ??= by.compile(schema);
    return validate(value) ? null : validate.errors!;
  };
}

/** For Fastify, which then does not load its own compilers; these would take a third of the start. */
export const OWN_COMPILERS = {
  compilersFactory: { buildValidator: neverBuilt, buildSerializer: neverBuilt },
};

function neverBuilt(): never {
  throw new Error('a route was registered before its compilers were set');
}

type Parameters = Record<string, unknown>;

export function compileParameters({ schema }: { schema: unknown }) {
  const validate = checkOf(ajv, schema as object);
  const { properties } = schema as { properties: Record<string, { type?: string }> };
  const typed = Object.entries(properties).filter(([, { type }]) => type !== undefined && type in READ_AS);
  return (parameters: Parameters) => {
    for (const [name, { type }] of typed) {
      if (Object.hasOwn(parameters, name)) parameters[name] = READ_AS[type!]!(parameters[name]);
    }
    const error = validate(parameters);
    return error === null ? { value: parameters } : { error };
  };
}

/** Of a route that checks its body while it is read. */
export function compileParametersAlone({ httpPart, schema }: { httpPart?: string; schema: unknown }) {
  return httpPart === 'body' ? () => true : compileParameters({ schema });
}

/** Values that are not written like their type are left unchanged, so the schema refuses them. Ajv would accept 0x10. */
const READ_AS: Readonly<Record<string, (value: unknown) => unknown>> = {
  integer: (value) => (typeof value === 'string' && /^-?\d+$/.test(value) ? Number(value) : value),
  boolean: (value) => (value === 'true' ? true : value === 'false' ? false : value),
  // A repeatable parameter is a list only if it was repeated.
  array: (value) => (Array.isArray(value) ? value : [value]),
};
