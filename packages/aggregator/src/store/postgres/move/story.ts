import type { ClientBase } from 'pg';
import type { StoryReaders, StoryWriters } from '../../move/moved-story.ts';
import type { Reading } from '../sessions.ts';
import { conflictsIn, writingConflicts } from './conflicts.ts';
import { historiesIn, writingHistories } from './histories.ts';
import { countsIn, periodsIn, writingCounts, writingPeriods } from './repeat-counts.ts';
import { recordsIn, writingRecords } from './trail.ts';

/** Of each part what reads it from a schema that nobody writes meanwhile. */
export const STORY_READERS: StoryReaders<Reading> = {
  counts: countsIn,
  periods: periodsIn,
  conflicts: conflictsIn,
  histories: historiesIn,
  trail: recordsIn,
};

export const STORY_WRITERS: StoryWriters<ClientBase, Promise<void>> = {
  counts: writingCounts,
  periods: writingPeriods,
  conflicts: writingConflicts,
  histories: writingHistories,
  trail: writingRecords,
};
