import type { Area } from '../breakage.ts';

const SENDER = ['webhooks/sender.test.ts'];

/** One message, signed and sent; and lease ids, which are signed, too. */
export const webhooks: Area = {
  sources: 'packages/aggregator/src',
  tests: 'packages/aggregator/test',
  breakages: [
    {
      file: 'webhooks/public-address.ts',
      breaks: 'A name that leads to an address of the own network is connected to.',
      find: 'const open = addresses.filter(({ address }) => isPublicAddress(address));',
      replace: 'const open = addresses;',
      tests: SENDER,
    },
    {
      file: 'webhooks/public-address.ts',
      breaks:
        'Only private networks are kept out, not the machine itself, nor where clouds answer with credentials.',
      find: "ipaddr.parse(address).range() === 'unicast'",
      replace: "ipaddr.parse(address).range() !== 'private'",
      tests: SENDER,
    },
    {
      file: 'webhooks/public-address.ts',
      breaks: 'An IPv6 address in a URL is not known for one, and looked up as a name.',
      find: "return hostname.replace(/^\\[(.*)\\]$/, '$1');",
      replace: 'return hostname;',
      tests: SENDER,
    },
    {
      file: 'webhooks/sender.ts',
      breaks: 'An address that is not public is connected to where it stands in the URL as a number.',
      find: `if (!this.#options.allowPrivate && isIP(host) !== 0 && !isPublicAddress(host))
        throw new PrivateAddress(host);`,
      replace: '',
      tests: SENDER,
    },
    {
      file: 'webhooks/sender.ts',
      breaks: 'A definition with an address that is not public is taken.',
      find: 'if (!allowPrivate && isIP(host) !== 0 && !isPublicAddress(host)) return new PrivateAddress(host).message;',
      replace: '',
      tests: SENDER,
    },
    {
      file: 'webhooks/sender.ts',
      breaks: 'The signature does not cover the time, so an old message can be sent again.',
      find: 'update(`${id}.${timestampS}.`)',
      replace: 'update(`${id}.`)',
      tests: SENDER,
    },
    {
      file: 'webhooks/sender.ts',
      breaks: 'The prefix of a secret is taken for a part of it.',
      find: "return Buffer.from(secret.slice(SECRET_PREFIX.length), 'base64');",
      replace: "return Buffer.from(secret, 'base64');",
      tests: SENDER,
    },
    {
      file: 'webhooks/sender.ts',
      breaks: 'Of several secrets only the first signs.',
      find: "secrets.map((secret) => signatureOf(secret, id, timestampS, body)).join(' ')",
      replace: 'signatureOf(secrets[0]!, id, timestampS, body)',
      tests: SENDER,
    },
    {
      file: 'store/news-of-steps.ts',
      breaks: 'A webhook whose url was changed goes on waiting with the old one.',
      find: "if (created.kind === 'changed') return newsOfResumption(created.state.id);",
      replace: '',
      tests: ['store/group-store.test.ts'],
    },
    {
      file: 'store/sqlite/groups/push-steps.ts',
      breaks: 'What the old target of a webhook answers is held against the new one.',
      find: 'if (!isSamePush(pushOf(row), target)) {',
      replace: 'if (pushOf(row) === null) {',
      tests: ['store/group-store-push.test.ts'],
    },
    {
      file: 'store/sqlite/groups/groups.ts',
      breaks: 'A webhook that was paused stays so when its url is changed.',
      find: `    this.resume(nowMs, id);
    return { kind: 'changed'`,
      replace: `    return { kind: 'changed'`,
      tests: ['store/group-store-push.test.ts'],
    },
    {
      file: 'webhooks/sender.ts',
      breaks: 'A target that never answers holds its group up for ever.',
      find: 'AbortSignal.any([signal, timeout])',
      replace: 'signal',
      tests: SENDER,
      hangs: true,
    },
    {
      file: 'webhooks/sender.ts',
      breaks: 'A message that is under way keeps the service from stopping.',
      find: 'AbortSignal.any([signal, timeout])',
      replace: 'timeout',
      tests: SENDER,
    },
    {
      file: 'webhooks/sender.ts',
      breaks: 'A kept connection that its other end closed in the moment of use counts as a failure.',
      find: "if (request.reusedSocket && error.code === 'ECONNRESET')",
      replace: "if (request.reusedSocket && error.code === 'EPIPE')",
      tests: SENDER,
    },
    {
      file: 'webhooks/sender.ts',
      breaks: 'An answer without an end is read until the time is up, and counts as none.',
      find: 'if (bytes > ANSWER_BYTES_MAX) return;',
      replace: '',
      tests: SENDER,
    },
    {
      file: 'webhooks/sender.ts',
      breaks: 'The shortest secret that Standard Webhooks allows is refused.',
      find: 'bytes >= SECRET_BYTES_MIN &&',
      replace: 'bytes > SECRET_BYTES_MIN &&',
      tests: SENDER,
    },
    {
      file: 'webhooks/sender.ts',
      breaks: 'A password in a URL is kept and sent.',
      find: "target.username !== '' || target.password !== '' ||",
      replace: "target.username !== '' ||",
      tests: SENDER,
    },
    {
      file: 'groups/lease-id.ts',
      breaks: 'Whoever can count can acknowledge what others were given.',
      find: 'const isOurs = timingSafeEqual(Buffer.from(mac!), expected);',
      replace: 'const isOurs = expected.length === mac!.length;',
      tests: ['groups/lease-id.test.ts'],
    },
    {
      file: 'groups/lease-id.ts',
      breaks: 'One lease id opens every lease of the group.',
      find: '.update(String(take))',
      replace: ".update(String(take).replace(/.*/, ''))",
      tests: ['groups/lease-id.test.ts'],
    },
  ],
};
