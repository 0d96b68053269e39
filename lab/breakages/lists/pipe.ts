import type { Area } from '../breakage.ts';

const PIPE = ['pipe.test.ts'];
const FILES = ['pipe-files.test.ts'];
const KILLS = ['pipe-kills.test.ts'];
const UNTIL_NOW = ['pipe-until-now.test.ts'];

/** What a pipe hands over, and when it acknowledges it. */
export const pipe: Area = {
  sources: 'packages/cli/src/pipe',
  tests: 'packages/cli/test',
  breakages: [
    {
      file: 'command-target.ts',
      breaks: 'A command that takes too long and runs as somebody else takes the pipe with it.',
      find: "if (code !== 'EPERM') throw error;",
      replace: 'throw error;',
      tests: PIPE,
      hangs: true,
    },
    {
      file: '../commands/pipe.ts',
      breaks: 'A command with a timeout of a month is ended at once.',
      find: 'options.timeout && Math.min(options.timeout, TIMEOUT_MS_MAX)',
      replace: 'options.timeout',
      tests: PIPE,
    },
    {
      file: '../commands/pipe.ts',
      breaks: 'A pipe with --until-now ends before all is done.',
      find: 'if (cursor >= last || lag === 0) return;',
      replace: 'return;',
      tests: UNTIL_NOW,
    },
    {
      file: '../commands/pipe.ts',
      breaks: 'A pipe with --until-now goes on for as long as others publish.',
      find: 'cursor >= last || lag === 0',
      replace: 'lag === 0',
      tests: UNTIL_NOW,
      hangs: true,
    },
    {
      file: 'batches.ts',
      breaks: 'Piped events are acknowledged while their target still works on them.',
      find: 'if (events.length > 0) await this.#target.take(events, ended);',
      replace: 'if (events.length > 0) this.#target.take(events, ended).catch(() => {});',
      tests: PIPE,
    },
    {
      file: 'event-files.ts',
      breaks: 'Piped events are acknowledged before their lines are synced.',
      find: '      await this.#file.datasync();\n',
      replace: '',
      tests: KILLS,
    },
    {
      file: 'event-files.ts',
      breaks: 'A full file that the user took away ends the pipe.',
      find: 'await rm(this.#full.shift()!.path, { force: true });',
      replace: 'await rm(this.#full.shift()!.path);',
      tests: FILES,
    },
    {
      file: 'file-target.ts',
      breaks: 'A pipe that is closed while a file ends goes on renaming files, which another one may write.',
      find: '    if (this.#isClosed) return;\n',
      replace: '',
      tests: FILES,
    },
    {
      file: 'event-files.ts',
      breaks: 'What a killed pipe wrote is relied on before it is synced.',
      find: '      await file.datasync();\n',
      replace: '',
      tests: KILLS,
    },
    {
      file: 'event-files.ts',
      breaks: 'The half line that a killed pipe left stays in front of the next event.',
      find: 'await file.truncate(contents.end);',
      replace: 'contents = { ...contents, end: before.size };',
      also: [
        {
          file: 'event-files.ts',
          find: 'const contents = await EventLines.in(file);',
          replace: 'let contents = await EventLines.in(file);',
        },
      ],
      tests: FILES,
    },
    {
      file: 'event-files.ts',
      breaks: 'What fits on a full disk of a batch stays there, and is written again.',
      find: 'await this.#file.truncate(this.#end);',
      replace: '',
      tests: KILLS,
    },
    {
      file: 'event-files.ts',
      breaks: 'An event that comes again is written again.',
      find: 'filter(([offset]) => offset <= highest)',
      replace: 'filter(() => false)',
      tests: FILES,
    },
    {
      file: 'event-files.ts',
      breaks: 'Full files are not looked into after a seek.',
      find: 'for (const full of this.#full.toReversed()) {',
      replace: 'for (const full of this.#full.slice(0, 0)) {',
      tests: FILES,
    },
    {
      file: 'event-lines.ts',
      breaks: 'An event of a restored log is taken for the one that had its offset before.',
      find: 'return written === text || identityOf(written) === identityOf(text);',
      replace: 'return text.length > 0 && written.length > 0;',
      tests: FILES,
    },
    {
      file: 'event-lines.ts',
      breaks: 'A file of something else is taken for one of events.',
      find: 'strangeLine: isZeroed ? null : count };',
      replace: 'strangeLine: null };',
      tests: FILES,
    },
    {
      file: 'command-target.ts',
      breaks: 'A command that can do nothing at present makes its events dead.',
      find: 'if (end === TRY_AGAIN) return { reason };',
      replace: '',
      tests: PIPE,
    },
    {
      file: 'command-target.ts',
      breaks: 'A bad event makes those dead that a command gets with it.',
      find: 'readonly takesRepeatsAlone = true;',
      replace: 'readonly takesRepeatsAlone = false;',
      tests: PIPE,
    },
    {
      file: 'command-target.ts',
      breaks: 'The command of a pipe is in its group, where Ctrl-C ends it and its time-out cannot.',
      find: 'detached: true,',
      replace: 'detached: false,',
      tests: PIPE,
    },
    {
      file: 'http-target.ts',
      breaks: 'A receiver that does not answer for a moment ends the pipe.',
      find: 'if (PASSING.has(status) || status >= 500)',
      replace: 'if (PASSING.has(status))',
      tests: PIPE,
    },
  ],
};
