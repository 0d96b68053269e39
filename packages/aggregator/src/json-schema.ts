import type * as TypeBox from 'typebox';

/**
 * For Ajv: these schemas are ours, and a test checks them against the meta-schema, so that no start has to compile
 * that, which takes 80 ms.
 */
export const OWN_SCHEMAS = { meta: false, validateSchema: false } as const;

type Schema = Readonly<Record<string, unknown>>;

/** Optional schemas, remembered by identity, so that no mark of it appears in the document. */
const optional = new WeakSet<Schema>();

/**
 * The part of TypeBox's builder that is used here: its types, which make a schema a type as well, and the same JSON
 * Schema, as a test checks. TypeBox itself is 709 modules and took 150 ms, a tenth of each start, to make a few
 * literals.
 */
export const Type = {
  String: (options?: Schema) => ({ type: 'string', ...options }),
  Integer: (options?: Schema) => ({ type: 'integer', ...options }),
  Number: (options?: Schema) => ({ type: 'number', ...options }),
  Boolean: (options?: Schema) => ({ type: 'boolean', ...options }),
  Null: (options?: Schema) => ({ type: 'null', ...options }),
  Literal: (value: string, options?: Schema) => ({ type: 'string', const: value, ...options }),
  Enum: (values: readonly string[], options?: Schema) => ({ enum: values, ...options }),
  Array: (items: Schema, options?: Schema) => ({ type: 'array', items, ...options }),
  Union: (anyOf: readonly Schema[], options?: Schema) => ({ anyOf, ...options }),
  Object: (properties: Readonly<Record<string, Schema>>, options?: Schema) => {
    const required = Object.keys(properties).filter((name) => !optional.has(properties[name]!));
    return { type: 'object', ...(required.length > 0 && { required }), properties, ...options };
  },
  /** A copy: elsewhere the schema itself may be required. */
  Optional: (schema: Schema) => {
    const copy = { ...schema };
    optional.add(copy);
    return copy;
  },
  Unsafe: (schema: Schema) => schema,
} as unknown as Pick<typeof TypeBox.Type, Used>;

type Used =
  | 'String'
  | 'Integer'
  | 'Number'
  | 'Boolean'
  | 'Null'
  | 'Literal'
  | 'Enum'
  | 'Array'
  | 'Union'
  | 'Object'
  | 'Optional'
  | 'Unsafe';
