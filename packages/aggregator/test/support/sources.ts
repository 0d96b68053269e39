import assert from 'node:assert/strict';
import { createHmac } from 'node:crypto';
import type { PublishAnswer } from '@chronicleweaver/protocol';
import type { TestServer } from './server.ts';

/** `/sources` and `/in` of a service; `/sources` with these headers. */
export class TestSources {
  readonly #server: TestServer;
  readonly #headers: Record<string, string>;

  constructor(server: TestServer, headers: Record<string, string> = {}) {
    this.#server = server;
    this.#headers = headers;
  }

  put(name: string, body: unknown): Promise<Response> {
    return fetch(`${this.#server.url}/sources/${name}`, {
      method: 'PUT',
      headers: { ...this.#headers, 'content-type': 'application/json' },
      body: JSON.stringify(body),
    });
  }

  /** Defines a source that there is not yet. */
  async make(name: string, body: unknown): Promise<void> {
    const response = await this.put(name, body);
    assert.equal(response.status, 201, await response.text());
  }

  get(name = ''): Promise<Response> {
    return fetch(`${this.#server.url}/sources${name === '' ? '' : `/${name}`}`, { headers: this.#headers });
  }

  delete(name: string): Promise<Response> {
    return fetch(`${this.#server.url}/sources/${name}`, { method: 'DELETE', headers: this.#headers });
  }

  /** What a source sends. */
  deliver(
    name: string,
    body: string | Uint8Array<ArrayBuffer>,
    headers: Record<string, string> = {},
  ): Promise<Response> {
    return fetch(`${this.#server.url}/in/${name}`, { method: 'POST', headers, body });
  }

  /** The counts with which a delivery is answered that is taken. */
  async taken(
    response: Promise<Response>,
  ): Promise<[accepted: number, duplicates: number, conflicts: number]> {
    const answer = await response;
    const text = await answer.text();
    assert.equal(answer.status, 200, text);
    const { accepted, duplicates, conflicts } = JSON.parse(text) as PublishAnswer;
    return [accepted, duplicates, conflicts];
  }
}

/** Headers of a body that is signed as a source of kind generic expects it by default. */
export function signed(body: string | Uint8Array, secret: string): Record<string, string> {
  return { 'x-signature-256': `sha256=${createHmac('sha256', secret).update(body).digest('hex')}` };
}
