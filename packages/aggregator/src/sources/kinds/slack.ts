import { jsonAt, textAt, withoutMember } from '../../event/json-place.ts';
import { type Content, contentOf, digestOf, timeIn } from '../one-event.ts';
import { requireRecent, requireSigned, signatureBytes } from '../signatures.ts';
import { type Answer, type Delivery, Refusal } from '../source.ts';
import { FIVE_MINUTES_MS, madeSecretFaults, signedSeconds, signingHeader, webhook } from '../webhook.ts';

/**
 * Slack (https://api.slack.com/authentication/verifying-requests-from-slack): events, and what people do with interactive messages and
 * commands. Attempts are counted in headers alone, which are left out, and so is the token in each body, which is a secret, too.
 */
export const slack = webhook({
  maxAgeMs: FIVE_MINUTES_MS,
  faultsIn: madeSecretFaults,
  verify: (delivery, { secrets, maxAgeMs }) => {
    const text = signingHeader(delivery, 'x-slack-signature');
    const time = signingHeader(delivery, 'x-slack-request-timestamp');
    const timeS = signedSeconds(time);
    const signature = text.startsWith(PREFIX)
      ? signatureBytes(text.slice(PREFIX.length), 'hex', 'sha256')
      : undefined;
    if (signature === undefined) throw new Refusal('unsigned', 'the header x-slack-signature has no v0');
    const content = [`v0:${time}:`, delivery.body];
    requireSigned({ keys: secrets, algorithm: 'sha256', content, signatures: [signature] });
    requireRecent(timeS, maxAgeMs ?? FIVE_MINUTES_MS, delivery.nowMs);
  },
  contentOf: slackContent,
  questionIn,
  made: ({ body }, { json = '' }) => ({
    // Only events have an id. Everything else is sent once, and has a trigger of its own.
    id: textAt(json, ['event_id']) ?? digestOf(body),
    idPlace: 'a string at /event_id',
    headers: [],
    type: textAt(json, ['event', 'type']) ?? textAt(json, ['type']) ?? textAt(json, ['command']),
    time: timeIn(textAt(json, ['event_time'])),
  }),
  // A body would be shown to whoever gave a command.
  answer: { status: 200 },
});

const PREFIX = 'v0=';

/** The JSON that came, or stands in the field `payload` of a form, or is made of the form's fields; without the token. */
function slackContent({ body, headers }: Delivery): Content {
  const type = headers['content-type'] ?? '';
  const form = FORM.test(type) ? new URLSearchParams(body.toString()) : null;
  const payload = form?.get('payload') ?? null;
  const sent = form === null ? body : Buffer.from(payload ?? JSON.stringify(Object.fromEntries(form)));
  const content = contentOf(sent, form === null ? type : 'application/json');
  if (content.json === undefined) return textWithoutToken(sent) ?? content;
  const json = withoutMember(content.json, 'token');
  return { json, member: `"body":${json}` };
}

/** JSON that no payload may contain is kept as text, of which the token is no part either; undefined if it has none. */
function textWithoutToken(sent: Buffer): Content | undefined {
  let value: unknown;
  try {
    value = JSON.parse(new TextDecoder().decode(sent));
  } catch {
    // It is no JSON, so it has no members.
    return undefined;
  }
  if (typeof value !== 'object' || value === null || !Object.hasOwn(value, 'token')) return undefined;
  const rest = Object.fromEntries(Object.entries(value).filter(([name]) => name !== 'token'));
  return { json: undefined, member: `"body":${JSON.stringify(JSON.stringify(rest))}` };
}

const FORM = /^application\/x-www-form-urlencoded\s*(?:;|$)/i;

/** When an address is entered, Slack asks for its challenge back. */
function questionIn({ json = '' }: Content): Answer | undefined {
  if (jsonAt(json, ['type']) !== '"url_verification"') return undefined;
  const challenge = textAt(json, ['challenge']);
  if (challenge === undefined) throw new Refusal('invalid', 'the challenge is missing');
  return { status: 200, type: 'text/plain; charset=utf-8', body: challenge };
}
