import type * as TypeBox from 'typebox';

/**
 * For Ajv: these schemas are ours, and a test holds them to the schema of schemas, so that no start need compile that, which
 * takes 80 ms.
 */
export const OWN_SCHEMAS = { meta: false, validateSchema: false } as const;

type Schema = Readonly<Record<string, unknown>>;

/** Those that need not be there, known by themselves so that nothing of it stands in the document. */
const optional = new WeakSet<Schema>();

/**
 * TypeBox's builder, as far as it is used here: its types, by which a schema is also a type, and the same JSON Schema, to
 * which a test holds it. TypeBox itself is 709 modules, which took 150 ms of each start, a tenth of it, to make some
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
  /** A copy: the schema itself may have to be there elsewhere. */
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
