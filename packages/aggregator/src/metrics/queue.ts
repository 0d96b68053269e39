import type { PublishQueue } from '../queue/publish-queue.ts';
import type { Followers } from '../followers/followers.ts';
import type { Exposition } from './exposition.ts';
import type { Section } from './section.ts';

interface Parts {
  readonly queue: PublishQueue;
  readonly followers: Followers;
}

const GAUGES: readonly [name: string, help: string, value: (parts: Parts) => number][] = [
  [
    'chronicleweaver_queue_events',
    'Events in this process that wait for their commit.',
    ({ queue }) => queue.events,
  ],
  [
    'chronicleweaver_queue_limit_events',
    'How many of these there may be in this process (QUEUE_EVENTS_MAX); more are refused with queue_full.',
    ({ queue }) => queue.eventsMax,
  ],
  [
    'chronicleweaver_queue_bytes',
    'Bytes that these events and the bodies still arriving hold in this process.',
    ({ queue }) => queue.bytes,
  ],
  [
    'chronicleweaver_queue_limit_bytes',
    'How many of these there may be in this process (QUEUE_BYTES_MAX); more are refused with queue_full.',
    ({ queue }) => queue.budget.bytesMax,
  ],
  ['chronicleweaver_followers', 'Open live streams of this process.', ({ followers }) => followers.count],
  [
    'chronicleweaver_followers_limit',
    'How many of these there may be in this process (FOLLOWERS_MAX); more are refused with followers_full.',
    ({ followers }) => followers.max,
  ],
  [
    'chronicleweaver_followers_behind_offsets',
    'How far the slowest live stream of this process is behind the end of the log, in offsets; 0 if there is none.',
    ({ followers }) => followers.behind,
  ],
];

/** What waits in this process and who follows it live, read when somebody asks. */
export class QueueFigures implements Section {
  readonly part = 'queue';
  readonly #parts: Parts;

  constructor(parts: Parts) {
    this.#parts = parts;
  }

  write(out: Exposition): void {
    for (const [name, help, value] of GAUGES) out.gauge(name, help, value(this.#parts));
  }
}
