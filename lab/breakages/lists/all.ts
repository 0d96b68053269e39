import { posix } from 'node:path';
import type { Breakage, Change } from '../breakage.ts';
import { access } from './access.ts';
import { append } from './append.ts';
import { blocks } from './blocks.ts';
import { client } from './client.ts';
import { file } from './file.ts';
import { folding } from './folding.ts';
import { followers } from './followers.ts';
import { groups } from './groups.ts';
import { keys } from './keys.ts';
import { queue } from './queue.ts';
import { request } from './request.ts';
import { start } from './start.ts';
import { webhooks } from './webhooks.ts';
import { written } from './written.ts';

/** In the order in which an event meets them. */
const AREAS = [
  client,
  written,
  request,
  access,
  queue,
  append,
  keys,
  blocks,
  file,
  folding,
  followers,
  groups,
  webhooks,
  start,
];

/** All that there are, with whole paths. */
export const BREAKAGES: readonly Breakage[] = AREAS.flatMap(({ sources, tests, breakages }) =>
  breakages.map((breakage) => ({
    ...inFolder(sources, breakage),
    ...(breakage.also && { also: breakage.also.map((change) => inFolder(sources, change)) }),
    tests: breakage.tests.map((test) => posix.join(tests, test)),
  })),
);

function inFolder<C extends Change>(folder: string, change: C): C {
  return { ...change, file: posix.join(folder, change.file) };
}
