import { withoutMember } from '../../event/json-place.ts';
import { type Content, contentOf, textIn, timeIn } from '../one-event.ts';
import { requireRecent, requireSigned, signatureBytes } from '../signatures.ts';
import { Refusal, type Delivery } from '../source.ts';
import { FIVE_MINUTES_MS, madeSecretFaults, signedSeconds, signingHeader, webhook } from '../webhook.ts';

/**
 * Stripe (https://docs.stripe.com/webhooks). `t` is the time of the attempt, `v1` a signature over it, a full stop and the body; while
 * a secret is changed there are several.
 */
export const stripe = webhook({
  maxAgeMs: FIVE_MINUTES_MS,
  faultsIn: madeSecretFaults,
  verify: (delivery, { secrets, maxAgeMs }) => {
    const fields = signingHeader(delivery, 'stripe-signature')
      .split(',')
      .map((field) => field.trim().split('=', 2) as [name: string, value?: string]);
    const time = fields.find(([name]) => name === 't')?.[1];
    const timeS = signedSeconds(time);
    const signatures = fields
      .filter(([name]) => name === 'v1')
      .map(([, value = '']) => signatureBytes(value, 'hex', 'sha256'))
      .filter((bytes) => bytes !== undefined);
    if (signatures.length === 0) throw new Refusal('unsigned', 'the header stripe-signature has no v1');
    const content = [`${time}.`, delivery.body];
    requireSigned({ keys: secrets, algorithm: 'sha256', content, signatures });
    requireRecent(timeS, maxAgeMs ?? FIVE_MINUTES_MS, delivery.nowMs);
  },
  contentOf: stripeContent,
  made: ({ headers }, content) => ({
    id: textIn({ headers, content }, '/id'),
    idPlace: 'a string at /id of the event',
    headers: [],
    type: textIn({ headers, content }, '/type'),
    time: timeIn(textIn({ headers, content }, '/created')),
  }),
});

/** How many webhooks are still to be told of the event changes from attempt to attempt, and is left out. */
function stripeContent({ body, headers }: Delivery): Content {
  const { json, member } = contentOf(body, headers['content-type']);
  if (json === undefined) return { json, member };
  const constant = withoutMember(json, 'pending_webhooks');
  return { json: constant, member: `"body":${constant}` };
}
