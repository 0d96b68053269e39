import { QueueFull } from '../../queue/publish-queue.ts';
import { ProblemError } from './problems.ts';

/** There is no room for the body at the moment. */
export function full(): QueueFull {
  return new QueueFull('too many bytes of other publishes are already under way');
}

/** The body exceeds the limit, as sent or unpacked. */
export function tooLarge(): ProblemError {
  return new ProblemError(
    'body_too_large',
    'send fewer events at once; the limit applies to the unpacked body',
  );
}

/** The body stopped arriving. */
export function tooSlow(pauseMs: number): ProblemError {
  return new ProblemError(
    'request_timeout',
    `no byte of the body arrived for ${pauseMs / 1000} seconds; send the request again`,
  );
}
