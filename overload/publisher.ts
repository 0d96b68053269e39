import { type Agent, type IncomingMessage, request } from 'node:http';
import { text } from 'node:stream/consumers';
import { setTimeout as sleep } from 'node:timers/promises';
import type { Problem } from '@chronicleweaver/protocol';
import type { SeededRandom } from '../lab/random.ts';
import type { Batches } from './batch.ts';

/** How far a publisher got: batches below `acknowledged` were answered with 200, and no others. */
export interface Published {
  readonly publisher: number;
  readonly acknowledged: number;
}

export interface Answers {
  acknowledged: number;
  refused: number;
  /** From a publish's first byte to its 200, milliseconds. */
  readonly acknowledgedMs: number[];
  /** From a publish's first byte to its 503, milliseconds. */
  readonly refusedMs: number[];
}

/**
 * One publisher: sends one batch after another, each again after its Retry-After until it is accepted. Throws at the first
 * answer that is neither a 200 for the whole batch nor a 503 as promised by P-7.
 */
export async function publishUntil(
  done: AbortSignal,
  publisher: number,
  batches: Batches,
  answers: Answers,
  random: SeededRandom,
  to: { readonly agent: Agent; readonly port: number },
): Promise<Published> {
  for (let batch = 0; ; batch++) {
    const body = batches.body(publisher, batch);
    for (;;) {
      if (done.aborted) return { publisher, acknowledged: batch };
      const startMs = performance.now();
      const response = await post(to, body);
      const answer = await text(response);
      const tookMs = performance.now() - startMs;
      if (response.statusCode === 200) {
        const { accepted } = JSON.parse(answer) as { accepted: number };
        if (accepted !== batches.eventsPerBatch) throw new Error(`${publisher}-${batch}: ${answer}`);
        answers.acknowledged += 1;
        answers.acknowledgedMs.push(tookMs);
        break;
      }
      const waitMs = retryAfterMs(response, answer);
      answers.refused += 1;
      answers.refusedMs.push(tookMs);
      await sleep(waitMs * random.between(1, 1.5), undefined, { signal: done }).catch(() => undefined);
    }
  }
}

/** How long a refusal asks to wait; throws for any other answer. */
function retryAfterMs({ statusCode, headers }: IncomingMessage, answer: string): number {
  const seconds = Number(headers['retry-after']);
  const code = headers['content-type'] === 'application/problem+json' && (JSON.parse(answer) as Problem).code;
  if (statusCode === 503 && code === 'queue_full' && seconds >= 1) return seconds * 1000;
  throw new Error(`a publish was answered with ${statusCode} ${JSON.stringify(headers)} ${answer}`);
}

function post({ agent, port }: { agent: Agent; port: number }, body: Buffer): Promise<IncomingMessage> {
  return new Promise((resolve, reject) => {
    const headers = { 'content-type': 'application/json', 'content-length': body.length };
    request({ agent, port, method: 'POST', path: '/publish', headers })
      .on('response', resolve)
      .on('error', reject)
      .end(body);
  });
}
