import type { ClientBase } from 'pg';
import type { MovedStory, StoryPart, StoryReaders, StoryWriter } from '../../move/moved-story.ts';
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

const STORY_WRITERS: {
  readonly [P in StoryPart]: (
    client: ClientBase,
    topicId: (name: string) => number,
  ) => StoryWriter<MovedStory[P], Promise<void>>;
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
  client: ClientBase,
  topicId: (name: string) => number,
): StoryWriter<MovedStory[P], Promise<void>> {
  return STORY_WRITERS[part](client, topicId);
}
