import assert from 'node:assert/strict';
import type { TestContext } from 'node:test';
import type { PushTiming } from '../../src/groups/push-timing.ts';
import { Group, type GroupView } from './group.ts';
import { SECRET } from './receiver.ts';
import { TestServer } from './server.ts';
import { until } from './until.ts';

const PRIVATE = { WEBHOOK_ALLOW_PRIVATE: 'true' };
export const FAST: PushTiming = { answerMs: 10_000, retryMs: [20], pauseAfterMs: 86_400_000 };

export async function serverWith(
  t: TestContext,
  timing: Partial<PushTiming> = {},
  env: Record<string, string> = PRIVATE,
): Promise<TestServer> {
  return TestServer.start(t, env, {}, { ...FAST, ...timing });
}

export async function webhook(
  server: TestServer,
  url: string,
  definition: Record<string, unknown> = {},
): Promise<Group> {
  const group = new Group(server.url, 'hook');
  await group.make({ push: { url, secret: SECRET }, ...definition });
  return group;
}

export function settled(group: Group, acknowledged: number): Promise<void> {
  return until(
    () => `${acknowledged} acknowledged events`,
    async () => (await group.view()).acknowledged === acknowledged,
  );
}

export function pushOf(view: GroupView): NonNullable<GroupView['push']> {
  return view.push ?? assert.fail('it is not a webhook');
}
