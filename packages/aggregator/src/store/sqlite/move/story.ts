import type { DatabaseSync } from 'node:sqlite';
import type { MovedStory, StoryPart, StoryReaders, StoryWriter } from '../../move/moved-story.ts';
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

const STORY_WRITERS: {
  readonly [P in StoryPart]: (
    db: DatabaseSync,
    topicId: (name: string) => number,
  ) => StoryWriter<MovedStory[P], void>;
} = {
  counts: writingCounts,
  periods: writingPeriods,
  conflicts: writingConflicts,
  histories: writingHistories,
  trail: writingRecords,
};

/** @param topicId the id of the topic with this name */
export function storyWriter<P extends StoryPart>(
  part: P,
  db: DatabaseSync,
  topicId: (name: string) => number,
): StoryWriter<MovedStory[P], void> {
  return STORY_WRITERS[part](db, topicId);
}
