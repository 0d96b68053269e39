import type { TestServer } from './server.ts';

/** `/retention` of a service, as a client with this key asks it. */
export class Policies {
  readonly #server: TestServer;
  readonly #headers: Record<string, string>;

  constructor(server: TestServer, headers: Record<string, string> = {}) {
    this.#server = server;
    this.#headers = headers;
  }

  put(name: string, body: unknown, query = ''): Promise<Response> {
    return this.#fetch(`/${name}${query}`, 'PUT', typeof body === 'string' ? body : JSON.stringify(body));
  }

  preview(name: string, body: unknown): Promise<Response> {
    return this.put(name, body, '?dry_run=true');
  }

  get(name = ''): Promise<Response> {
    return this.#fetch(name === '' ? '' : `/${name}`, 'GET');
  }

  delete(name: string): Promise<Response> {
    return this.#fetch(`/${name}`, 'DELETE');
  }

  #fetch(path: string, method: string, body?: string): Promise<Response> {
    const headers = { ...this.#headers, ...(body !== undefined && { 'content-type': 'application/json' }) };
    return fetch(`${this.#server.url}/retention${path}`, {
      method,
      headers,
      ...(body !== undefined && { body }),
    });
  }
}
