import { type FieldError, TIMESTAMP_EXPECTED } from '@chronicleweaver/protocol';
import type { ErrorObject } from 'ajv';
import { shortened } from '../../event/json-scanner.ts';

/** All that is wrong, in one line. */
export function detailOf(errors: readonly FieldError[]): string {
  const faults = errors.map(({ index, field, message }) =>
    index === null ? `${field ?? 'the body'}: ${message}` : `${field} ${index}: ${message}`,
  );
  return faults.join('; ');
}

/** Where the fields are: a member of a body and a parameter of an address are not called the same. */
export type FieldsOf = 'body' | 'address';

/** What the schema of a request refused, in words for whoever sent it: what was expected, and what came instead. */
export function faultsOf(refused: readonly ErrorObject[], fieldsOf: FieldsOf): FieldError[] {
  return refused.map((fault) => {
    const [, ...path] = fault.instancePath.split('/').map(unescaped);
    const { missingProperty, additionalProperty } = fault.params as Record<string, unknown>;
    const member = missingProperty ?? additionalProperty;
    if (typeof member === 'string') path.push(member);
    const last = path.at(-1);
    const isEntry = path.length > 1 && typeof member !== 'string' && /^\d+$/.test(last!);
    const names = isEntry ? path.slice(0, -1) : path;
    return {
      index: isEntry ? Number(last) : null,
      field: names.length === 0 ? null : shortened(names.join('.')),
      message: messageOf(fault, fieldsOf),
    };
  });
}

/** RFC 6901. */
function unescaped(name: string): string {
  return name.replaceAll('~1', '/').replaceAll('~0', '~');
}

function messageOf(fault: ErrorObject, fieldsOf: FieldsOf): string {
  const schema = fault.parentSchema as Schema;
  switch (fault.keyword) {
    case 'required':
      return 'is missing';
    case 'additionalProperties':
      return unknown(Object.keys(schema.properties ?? {}), fieldsOf);
    case 'minProperties':
    case 'maxProperties':
      return `expected exactly one of ${Object.keys(schema.properties ?? {}).join(' and ')}`;
  }
  if (fieldsOf === 'address' && Array.isArray(fault.data)) {
    return fault.keyword === 'maxItems'
      ? `was given ${fault.data.length} times: at most ${schema.maxItems} are taken`
      : `was given ${fault.data.length} times: send it once`;
  }
  const expected = expectedBy(schema);
  return expected === undefined
    ? (fault.message ?? 'is not valid')
    : `expected ${expected}, got ${told(fault, fieldsOf)}`;
}

function unknown(known: readonly string[], fieldsOf: FieldsOf): string {
  const what = fieldsOf === 'body' ? 'field' : 'parameter';
  return known.length === 0
    ? `unknown ${what}: this takes none`
    : `unknown ${what}: this takes ${known.join(', ')}`;
}

/** The parts of a JSON Schema that say what a value must be. */
interface Schema {
  readonly type?: string | readonly string[];
  readonly enum?: readonly unknown[];
  readonly format?: string;
  readonly pattern?: string;
  readonly description?: string;
  readonly minimum?: number;
  readonly maximum?: number;
  readonly minLength?: number;
  readonly maxLength?: number;
  readonly minItems?: number;
  readonly maxItems?: number;
  readonly properties?: Readonly<Record<string, unknown>>;
}

/** Undefined if the schema asks for something that no request here is asked for. */
function expectedBy(schema: Schema): string | undefined {
  if (schema.enum !== undefined) return schema.enum.map((one) => JSON.stringify(one)).join(' or ');
  if (schema.format === 'iso-date-time') return TIMESTAMP_EXPECTED;
  // The description of a pattern says it for people.
  if (schema.pattern !== undefined) return schema.description?.replace(/\.$/, '');
  const types = [schema.type ?? []].flat();
  const kinds = types.map((type) => kindExpected(type, schema));
  return kinds.length === 0 || kinds.includes(undefined) ? undefined : kinds.join(' or ');
}

function kindExpected(type: string, { minimum, maximum, ...schema }: Schema): string | undefined {
  switch (type) {
    case 'null':
      return 'null';
    case 'boolean':
      return 'true or false';
    case 'object':
      return 'an object';
    case 'array':
      return `an array${ofLength(schema.minItems, schema.maxItems, 'entries')}`;
    case 'string':
      return `a string${ofLength(schema.minLength, schema.maxLength, 'characters')}`;
    case 'integer':
      return `a whole number${minimum === undefined || maximum === undefined ? '' : ` from ${minimum} to ${maximum}`}`;
    default:
      return undefined;
  }
}

function ofLength(min: number | undefined, max: number | undefined, what: string): string {
  return max === undefined ? '' : ` of ${min ?? 0} to ${max} ${what}`;
}

/** What came. Of a string in a body only its kind is told where it should have been none: it may be a secret. */
function told({ keyword, data }: ErrorObject, fieldsOf: FieldsOf): string {
  if (data === null || typeof data === 'number' || typeof data === 'boolean') return `${data}`;
  if (Array.isArray(data)) return keyword === 'type' ? 'an array' : `${data.length}`;
  if (typeof data !== 'string') return 'an object';
  if (keyword === 'minLength' || keyword === 'maxLength') return `${Array.from(data).length}`;
  return keyword === 'type' && fieldsOf === 'body' ? 'a string' : JSON.stringify(shortened(data));
}
