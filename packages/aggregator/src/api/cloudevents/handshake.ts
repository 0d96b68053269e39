import { ProblemError } from '../request/problems.ts';
import type { Api } from '../api.ts';

/** Where CloudEvents are taken. */
const TARGETS: ReadonlySet<string | undefined> = new Set(['/publish', '/topics/:topic/cloudevents']);

const ASKING = 'webhook-request-origin';

/** A DNS name, perhaps with a port. */
const ORIGIN = /^(?=.{1,253}$)[a-z0-9](?:[a-z0-9._-]*[a-z0-9])?(?::\d{1,5})?$/i;

/**
 * Answers a sender that asks whether it may send CloudEvents here, as "HTTP 1.1 Web Hooks for Event Delivery" has it do
 * (https://github.com/cloudevents/spec/blob/main/cloudevents/http-webhook.md, 4: abuse protection). That keeps it from
 * being turned against a site that expects nothing; it lets nobody in, so no key is asked for. Any other OPTIONS request passes.
 *
 * Call it before pages of other origins are let in, since that answers every OPTIONS request, and before keys are checked.
 */
export function answerHandshakes(api: Api): void {
  api.addHook('onRequest', (request, reply, done) => {
    const { method, headers, routeOptions } = request;
    const origin = method === 'OPTIONS' && TARGETS.has(routeOptions.url) ? headers[ASKING] : undefined;
    if (origin === undefined) return done();
    if (typeof origin !== 'string' || !ORIGIN.test(origin)) {
      const message = 'takes the DNS name of the sender, such as events.example.com';
      const errors = [{ index: null, field: 'WebHook-Request-Origin', message }];
      return done(new ProblemError('invalid_parameter', `WebHook-Request-Origin ${message}`, errors));
    }
    // Overload and a key's rate are told by 503 and 429 when they come.
    reply
      .header('allow', 'POST')
      .header('webhook-allowed-origin', origin)
      .header('webhook-allowed-rate', '*')
      .send();
  });
}
