import assert from 'node:assert/strict';
import { parseTimestamp } from '@chronicleweaver/protocol';
import { Ajv2020, type ValidateFunction } from 'ajv/dist/2020.js';
import type { TestServer } from './server.ts';

/** The parts of the document that the tests use. */
interface OpenApi {
  openapi: string;
  info: { version: string };
  paths: Record<string, Record<string, Operation>>;
}

interface Operation {
  parameters?: { name: string; in: string; required?: boolean; schema: Record<string, unknown> }[];
  requestBody?: { content: Record<string, unknown> };
  responses: Record<string, { content: Record<string, unknown> }>;
}

/** The document's schemas, as checks. */
export class Document {
  readonly json: OpenApi;
  readonly #ajv = new Ajv2020({
    strict: false,
    allErrors: true,
    formats: {
      'iso-date-time': (text: string) => parseTimestamp(text) !== undefined,
      'date-time': /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?(Z|[+-]\d\d:\d\d)$/,
    },
  });

  constructor(json: OpenApi) {
    this.json = json;
    this.#ajv.addSchema(json, 'document');
  }

  static async of(server: TestServer): Promise<Document> {
    return new Document(await server.get<OpenApi>('/openapi.json'));
  }

  /** The check of the schema at this place of the document. */
  at(...place: string[]): ValidateFunction {
    const pointer = place.map((name) => `/${name.replaceAll('~', '~0').replaceAll('/', '~1')}`).join('');
    return this.#ajv.compile({ $ref: `document#${encodeURI(pointer)}` });
  }

  /** Every documented answer of the selected addresses. */
  answers(isMeant: (path: string) => boolean): { method: string; path: string; status: string }[] {
    return Object.entries(this.json.paths).flatMap(([path, methods]) =>
      Object.entries(isMeant(path) ? methods : {}).flatMap(([method, { responses }]) =>
        Object.keys(responses).map((status) => ({ method, path, status })),
      ),
    );
  }

  /** Asserts that the answer matches the document, and returns its name, like "get /events 200". */
  async check(method: string, path: string, response: Response): Promise<string> {
    const name = `${method} ${path} ${response.status}`;
    const text = await response.text();
    const type = response.headers.get('content-type')?.split(';')[0];
    if (type === undefined) {
      assert.equal(text, '', name);
      return name;
    }
    const place = ['paths', path, method, 'responses', `${response.status}`, 'content', type];
    const validate = this.at(...place, 'schema');
    const value: unknown = type.endsWith('json') ? JSON.parse(text) : text;
    assert.ok(validate(value), `${place.join(' ')} ${text} ${JSON.stringify(validate.errors)}`);
    return name;
  }
}
