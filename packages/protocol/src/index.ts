export { BYTE_SIZE_EXPECTED, parseByteSize } from './byte-size.ts';
export { DURATION_EXPECTED, formatDuration, parseDuration } from './duration.ts';
export { type Event, type Payload, type StoredEvent, eventSchema } from './event.ts';
export { LIMITS } from './limits.ts';
export { type FieldError, PROBLEMS, type Problem, type ProblemCode } from './problem.ts';
export {
  BYTE_ORDER_MARK,
  TextError,
  byteOrderMarkLength,
  decodeText,
  encodingFault,
  isUtf16,
} from './text.ts';
export {
  type Instant,
  TIMESTAMP_EXPECTED,
  compareInstants,
  firstMsFrom,
  parseTimestamp,
} from './timestamp.ts';
export {
  compileTopicPatterns,
  hasWildcard,
  topicPatternCovers,
  topicPatternFault,
  topicPatternsOverlap,
} from './topic-pattern.ts';
export {
  type EventResult,
  type PublishAnswer,
  type PublishCounts,
  VERDICTS,
  type Verdict,
} from './verdict.ts';
