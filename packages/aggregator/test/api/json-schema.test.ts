import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Ajv2020 } from 'ajv/dist/2020.js';
import { Type as TypeBox } from 'typebox';
import { keyFile } from '../../src/access/key-file.ts';
import * as schemas from '../../src/api/schemas.ts';
import * as groupSchemas from '../../src/api/groups/schemas.ts';
import { Type } from '../../src/json-schema.ts';

/** Every kind of schema that the builder can make, with and without options. */
function schemasOf(build: typeof Type): object[] {
  const options = { description: 'what it is' };
  const name = build.String({ minLength: 1 });
  return [
    build.String(),
    build.String({ ...options, format: 'date-time' }),
    build.Integer({ minimum: 0 }),
    build.Number({ exclusiveMinimum: 0 }),
    build.Boolean({ default: false }),
    build.Null(),
    build.Literal('success'),
    build.Enum(['asc', 'desc'], options),
    build.Array(name, { maxItems: 3 }),
    build.Union([name, build.Null()], options),
    build.Object({}),
    build.Object({ name, other: build.Optional(name) }, { additionalProperties: false, title: 'Both' }),
    build.Object({ only: build.Optional(build.Array(build.Optional(name))) }),
    build.Unsafe<string | number>({ type: ['string', 'integer'] }),
    build.Object({ any: build.Unsafe<string>({ type: 'string' }), may: build.Optional(build.Unsafe({})) }),
  ];
}

test('every schema used for checks is a valid schema', () => {
  const ajv = new Ajv2020();
  const named = Object.entries({ ...schemas, ...groupSchemas, keyFile });
  const checked = named.filter(([, schema]) => typeof schema === 'object');
  assert.ok(checked.length > 15, `only ${checked.length} schemas were found`);
  for (const [name, schema] of checked) {
    assert.ok(ajv.validateSchema(schema), `${name}: ${ajv.errorsText()}`);
  }
  assert.equal(ajv.validateSchema({ type: 'strong' }), false);
});

test('a schema equals what TypeBox makes of the same call', () => {
  const asWritten = (schemas: object[]): unknown => JSON.parse(JSON.stringify(schemas));
  assert.deepEqual(asWritten(schemasOf(Type)), asWritten(schemasOf(TypeBox)));
});
