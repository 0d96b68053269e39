import type { Writes, WritesRow } from '../results.ts';
import { fine, tableLines, whole } from './table.ts';

/** The text of a writes run. */
export function writesLines({ missing, rows }: Writes): string[] {
  if (missing !== null) return [`writes and syncs of a commit: not measured, ${missing}`];
  return [
    'what a commit writes, on average (16 publishers, under strace, which makes each write slower and so each group larger):',
    ...tableLines([
      [
        '',
        'batch',
        'events',
        'log pages',
        'log syncs',
        'file pages',
        'file syncs',
        'by its thread',
        'kB',
        'B/event',
      ],
      ...rows.map(row),
    ]),
    'Merges and the folding of the log are included. by its thread: syncs of the file in the thread that commits.',
  ];
}

function row({ batch, events, commits, ...counts }: WritesRow): string[] {
  const { logPages, logSyncs, filePages, fileSyncs, fileSyncsByWriter, bytes } = counts;
  return [
    '',
    whole(batch),
    ...[events, logPages, logSyncs, filePages, fileSyncs, fileSyncsByWriter, bytes / 1000].map((count) =>
      fine(count / commits),
    ),
    whole(bytes / events),
  ];
}
