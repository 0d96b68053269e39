import type { Area } from '../breakage.ts';

const RECEIVE = ['api/cloudevents/receive.test.ts'];
const GIVEN_BACK = ['api/cloudevents/given-back.test.ts'];
const OUT = ['cloudevents/out.test.ts'];

/** CloudEvents, in and out. */
export const cloudevents: Area = {
  sources: 'packages/aggregator/src',
  tests: 'packages/aggregator/test',
  breakages: [
    {
      file: 'cloudevents/identity.ts',
      breaks: 'Two pairs of source and id make one identity, and the second event is dropped.',
      find: ".replaceAll(' ', '%20')",
      replace: '',
      tests: RECEIVE,
    },
    {
      file: 'cloudevents/events-of.ts',
      breaks: 'Each retry of a CloudEvent without a time is a conflict.',
      find: 'JSON.stringify(time ?? NO_TIME)',
      replace: 'JSON.stringify(time ?? new Date().toISOString())',
      tests: RECEIVE,
    },
    {
      file: 'cloudevents/json-format.ts',
      breaks: 'Data are taken that no payload can contain.',
      find: 'super(DATA_DEPTH_MAX + 1);',
      replace: 'super(DATA_DEPTH_MAX + 2);',
      tests: RECEIVE,
    },
    {
      file: 'cloudevents/json-format.ts',
      breaks: 'An attribute that appears twice is taken.',
      find: "if (this.fault !== null) this.#error(this.#field, 'appears twice');",
      replace: '',
      tests: RECEIVE,
    },
    {
      file: 'cloudevents/json-format.ts',
      breaks: 'Control characters beyond ASCII are taken in attributes.',
      find: 'if (this.bytes[at]! > LAST_PRINTABLE) return false;',
      replace: 'if (this.bytes[at]! < 0x20) return false;',
      tests: RECEIVE,
    },
    {
      file: 'event/compact-json.ts',
      breaks: 'A body in binary mode adds attributes of its own behind its data.',
      find: 'this.peek() === -1 && ',
      replace: '',
      tests: RECEIVE,
    },
    {
      file: 'api/cloudevents/binary.ts',
      breaks: 'Headers are percent-decoded into text that is not UTF-8.',
      find: 'return isUtf8(text) ? text.toString() : undefined;',
      replace: 'return text.toString();',
      tests: RECEIVE,
    },
    {
      file: 'api/short-publish.ts',
      breaks: 'A CloudEvent in binary mode whose data are JSON is read as an event of our own.',
      find: '    !hasAttributes(headers) &&\n',
      replace: '',
      tests: RECEIVE,
    },
    {
      file: 'api/request/json-type.ts',
      breaks: 'Resources that take no CloudEvents read them as JSON of our own.',
      find: '(?!cloudevents(?:-batch)?\\+)',
      replace: '',
      tests: RECEIVE,
    },
    {
      file: 'cloudevents/out.ts',
      breaks: 'A payload that anybody published is given as a CloudEvent with the identity of another one.',
      find: 'return eventIdOf(source, id) === partText(batch, 0, EVENT_ID) ? json : null;',
      replace: 'return eventIdOf(source, id) !== "" ? json : null;',
      tests: OUT,
    },
    {
      file: 'cloudevents/out.ts',
      breaks: 'Times lose the digits beyond milliseconds.',
      find: 'decimals && `.${decimals}`',
      replace: 'decimals && `.${decimals.slice(0, 3)}`',
      tests: OUT,
    },
    {
      file: 'cloudevents/framed.ts',
      breaks: 'A gap in a stream of CloudEvents is taken for an event.',
      find: 'if (bytes[start] === NAMED) {',
      replace: 'if (bytes[start] === 0) {',
      tests: GIVEN_BACK,
    },
    {
      file: 'api/read/page.ts',
      breaks: 'The last CloudEvent of a page has a comma behind it.',
      find: 'if (form.hasCommas && last',
      replace: "if (query.framing === 'array' && last",
      tests: GIVEN_BACK,
    },
    {
      file: 'store/group-definition.ts',
      breaks: 'A webhook keeps its format whatever is asked for.',
      find: ' || a?.format !== b?.format',
      replace: '',
      tests: ['store/group-store-push.test.ts', 'webhooks/cloudevents.test.ts'],
    },
    {
      file: 'store/move/group-columns.ts',
      breaks: 'A moved webhook sends its events in another format than before.',
      find: "  'push_format',\n",
      replace: '',
      tests: ['store/move/groups.test.ts'],
    },
    {
      file: 'api/cloudevents/handshake.ts',
      breaks: 'A sender of CloudEvents that does not say who it is gets the permission to send.',
      find: "if (typeof origin !== 'string' || !ORIGIN.test(origin)) {",
      replace: "if (typeof origin !== 'string') {",
      tests: ['api/cloudevents/handshake.test.ts'],
    },
  ],
};
