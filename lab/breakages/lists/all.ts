import { posix } from 'node:path';
import type { Breakage, Change } from '../breakage.ts';
import { access } from './access.ts';
import { audit } from './audit.ts';
import { append } from './append.ts';
import { blocks } from './blocks.ts';
import { cloudevents } from './cloudevents.ts';
import { client } from './client.ts';
import { collectors } from './collectors.ts';
import { dashboard, shown } from './dashboard.ts';
import { expired } from './expired.ts';
import { retention } from './retention.ts';
import { retentionRequests } from './retention-requests.ts';
import { file } from './file.ts';
import { folding } from './folding.ts';
import { followers } from './followers.ts';
import { groups } from './groups.ts';
import { keys } from './keys.ts';
import { metrics } from './metrics.ts';
import { moving } from './moving.ts';
import { otlp } from './otlp.ts';
import { pipe } from './pipe.ts';
import { postgresRepeats } from './postgres-repeats.ts';
import { postgresRetention } from './postgres-retention.ts';
import { postgresUpkeep } from './postgres-upkeep.ts';
import { postgres } from './postgres.ts';
import { queue } from './queue.ts';
import { request } from './request.ts';
import { sources } from './sources.ts';
import { sqliteRepeats } from './sqlite-repeats.ts';
import { sqliteRetention } from './sqlite-retention.ts';
import { start } from './start.ts';
import { webhooks } from './webhooks.ts';
import { written } from './written.ts';

/** In the order in which an event meets them. */
const AREAS = [
  client,
  written,
  request,
  cloudevents,
  otlp,
  sources,
  collectors,
  access,
  queue,
  append,
  keys,
  blocks,
  file,
  folding,
  postgresUpkeep,
  postgresRepeats,
  postgresRetention,
  postgres,
  moving,
  expired,
  sqliteRepeats,
  sqliteRetention,
  retention,
  retentionRequests,
  followers,
  groups,
  webhooks,
  pipe,
  audit,
  metrics,
  dashboard,
  shown,
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
