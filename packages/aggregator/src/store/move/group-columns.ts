import type { GroupRow } from '../groups/group-tables.ts';
import type { MovedHand, MovedLetter } from './moved-log.ts';

/** The columns of the groups' tables that a move copies; all stores on a disk have them. */
export const GROUP_COLUMNS = [
  'group_id',
  'name',
  'topics',
  'start',
  'lease_ms',
  'deliveries_max',
  'secret',
  'created_ms',
  'position',
  'takes',
  'void_takes',
  'outstanding',
  'dead',
  'deliveries',
  'redeliveries',
  'acknowledged',
  'expired',
  'push_url',
  'push_secrets',
  'push_format',
  'is_paused',
  'pause_asked',
  'failing_since_ms',
  'last_failure',
] as const satisfies readonly (keyof GroupRow)[];

export const HAND_COLUMNS = [
  'group_id',
  'take',
  'due_ms',
  'is_last',
  'events',
  'first_offset',
  'last_offset',
  'entries',
] as const satisfies readonly (keyof MovedHand)[];

export const LETTER_COLUMNS = [
  'group_id',
  'offset',
  'deliveries',
  'bytes',
  'dead_ms',
  'reason',
] as const satisfies readonly (keyof MovedLetter)[];

/** Dead letters that are read, written and compared at once. */
export const LETTERS_MAX = 10_000;
