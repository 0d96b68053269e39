/** An operation in `/openapi.json`: the parts from which requests are made. */
export interface Operation {
  readonly method: string;
  /** Like `/events/{topic}/{event_id}`. */
  readonly path: string;
  readonly parameters: readonly Parameter[];
  /** The schema of the JSON body, or null if the operation takes none. */
  readonly body: Schema | null;
}

interface Parameter {
  readonly name: string;
  readonly in: 'path' | 'query' | 'header';
  readonly required: boolean;
  readonly schema: Schema;
}

export interface Schema {
  readonly type?: string | readonly string[];
  readonly enum?: readonly unknown[];
  readonly minimum?: number;
  readonly maximum?: number;
  readonly items?: Schema;
  readonly properties?: Readonly<Record<string, Schema>>;
  readonly required?: readonly string[];
}

interface Document {
  readonly paths: Readonly<Record<string, Readonly<Record<string, DocumentedOperation>>>>;
}

interface DocumentedOperation {
  readonly parameters?: readonly Parameter[];
  readonly requestBody?: { readonly content: Readonly<Record<string, { readonly schema: Schema }>> };
}

/** Addresses that are not documented operations: pages for people, and some that do not exist. */
const UNDOCUMENTED = [
  '/openapi.json',
  '/docs',
  '/docs/',
  '/docs/json',
  '/docs/static/index.html',
  '/redoc',
  '/nowhere',
  '*',
];

export async function operationsOf(
  url: string,
  headers: Readonly<Record<string, string>>,
): Promise<Operation[]> {
  const { paths } = (await (await fetch(`${url}/openapi.json`, { headers })).json()) as Document;
  const documented = Object.entries(paths).flatMap(([path, methods]) =>
    Object.entries(methods).map(([method, { parameters = [], requestBody }]): Operation => {
      const body = requestBody?.content['application/json']?.schema ?? null;
      return { method: method.toUpperCase(), path, parameters, body };
    }),
  );
  const others = UNDOCUMENTED.map((path): Operation => ({ method: 'GET', path, parameters: [], body: null }));
  return [...documented, ...others];
}
