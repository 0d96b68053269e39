export { Command, type CommandUnknownOpts, Option } from '@commander-js/extra-typings';
export { type ExitCodes, exitCodesText } from './exit-codes.ts';
export {
  type Kind,
  TEXT,
  argument,
  decimalNumber,
  listOption,
  oneOf,
  option,
  variablesOf,
  wholeNumber,
} from './option.ts';
export { type Progress, createProgress } from './progress.ts';
export { type Surroundings, parse, run } from './run.ts';
export { Stopped } from './stopped.ts';
