import type { DatabaseSync } from 'node:sqlite';
import type { StoryReaders, StoryWriters } from '../../move/moved-story.ts';
import { conflictsIn, writingConflicts } from './conflicts.ts';
import { historiesIn, writingHistories } from './histories.ts';
import { countsIn, periodsIn, writingCounts, writingPeriods } from './repeat-counts.ts';
import { recordsIn, writingRecords } from './trail.ts';

/** Of each part what reads it from a file that nobody writes meanwhile. */
export const STORY_READERS: StoryReaders<DatabaseSync> = {
  counts: countsIn,
  periods: periodsIn,
  conflicts: conflictsIn,
  histories: historiesIn,
  trail: recordsIn,
};

export const STORY_WRITERS: StoryWriters<DatabaseSync, void> = {
  counts: writingCounts,
  periods: writingPeriods,
  conflicts: writingConflicts,
  histories: writingHistories,
  trail: writingRecords,
};
