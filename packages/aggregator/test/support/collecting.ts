import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import type { TestContext } from 'node:test';
import { pathOf } from '../../../../lab/repository.ts';
import { type Cut, CuttingProxy } from './cutting-proxy.ts';
import type { TestServer } from './server.ts';

/** Defines a collector as the example in the file says it. */
export async function defineAsIn(server: TestServer, example: string, text: string): Promise<void> {
  const [, name, definition] =
    /\/sources\/([\w-]+) -H 'content-type: application\/json' \\\n\W+-d '([^\n]+)'/.exec(text) ??
    assert.fail(`${example} does not say how its address is made`);
  await define(server, name!, JSON.parse(definition!) as object);
}

/** `PUT /sources/{name}` */
export async function define(server: TestServer, name: string, definition: object): Promise<void> {
  const response = await fetch(`${server.url}/sources/${name}`, {
    method: 'PUT',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify(definition),
  });
  assert.ok(response.ok, await response.text());
}

/** A proxy that cuts the next requests to this address. */
export async function cutting(
  t: TestContext,
  server: TestServer,
  address: string,
  ...cuts: Cut[]
): Promise<CuttingProxy> {
  const proxy = await CuttingProxy.start(t, Number(new URL(server.url).port), address);
  proxy.cuts.push(...cuts);
  return proxy;
}

/** Runs a program until it ends by itself; returns what it said. Fails unless it ends well. */
export async function ran(
  t: TestContext,
  command: string,
  args: readonly string[],
  env: Record<string, string> = {},
): Promise<string> {
  const child = spawn(command, args, {
    cwd: pathOf('.'),
    env: { ...process.env, ...env },
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  t.after(() => child.kill('SIGKILL'));
  let said = '';
  child.stdout.on('data', (piece: Buffer) => (said += piece.toString()));
  child.stderr.on('data', (piece: Buffer) => (said += piece.toString()));
  const [code] = (await once(child, 'close')) as [number | null];
  assert.equal(code, 0, said);
  return said;
}
