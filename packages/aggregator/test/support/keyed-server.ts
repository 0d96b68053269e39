import type { TestContext } from 'node:test';
import { TestKeys, withKey } from './keys.ts';
import { TestServer } from './server.ts';

export type Rights = Parameters<TestKeys['write']>[0];

export async function withKeys(
  t: TestContext,
  rights: Rights,
  env: Record<string, string> = {},
): Promise<{ server: TestServer; keys: TestKeys }> {
  const keys = new TestKeys(t, rights);
  return { server: await TestServer.start(t, { ...env, API_KEYS_FILE: keys.path }), keys };
}

export async function ask(server: TestServer, path: string, key?: string, method = 'GET'): Promise<Response> {
  return fetch(server.url + path, { method, headers: key === undefined ? {} : withKey(key) });
}
