import { QueueFull } from '../../queue/publish-queue.ts';
import { ProblemError } from './problems.ts';

/** There is no room for the body now. */
export function full(): QueueFull {
  return new QueueFull('too many bytes of other publishes are already under way');
}

/** The body is larger than any may be, as it came or unpacked. */
export function tooLarge(): ProblemError {
  return new ProblemError(
    'body_too_large',
    'send fewer events at once; the limit counts what the body unpacks to',
  );
}

/** The body came to a halt. */
export function tooSlow(pauseMs: number): ProblemError {
  return new ProblemError(
    'request_timeout',
    `nothing of the body came for ${pauseMs / 1000} seconds; send the request again`,
  );
}
