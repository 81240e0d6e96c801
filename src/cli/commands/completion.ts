/** `obstandby completion bash|zsh|fish`: completion scripts made from the command tree itself. */
import { Argument, type Command, type Option } from 'commander';

export function addCompletion(program: Command): void {
  program
    .command('completion')
    .addArgument(new Argument('<shell>').choices(['bash', 'zsh', 'fish']))
    .description('print a completion script for your shell')
    .addHelpText(
      'after',
      '\nExamples:\n  source <(obstandby completion bash)\n  obstandby completion fish > ~/.config/fish/completions/obstandby.fish',
    )
    .action((shell: string) => {
      console.log(shell === 'fish' ? fishScript(program) : bashScript(program, shell === 'zsh'));
    });
}

interface Node {
  /** `tenant create`; empty for the program itself */
  readonly path: string;
  /** subcommands, or the choices of the first argument */
  readonly words: readonly string[];
  readonly options: readonly Option[];
}

/** Each command path with what may follow it. */
function nodesOf(command: Command, path: string): Node[] {
  const choices = command.registeredArguments.flatMap(argument => argument.argChoices ?? []);
  const words = [...command.commands.map(child => child.name()), ...choices];
  return [
    { path, words, options: command.options },
    ...command.commands.flatMap(child => nodesOf(child, `${path} ${child.name()}`.trim())),
  ];
}

const flagsOf = (option: Option): string[] => [option.short, option.long].flatMap(flag => flag ?? []);
const takesValue = (option: Option): boolean => option.required || option.optional;

/** Words that name no command (arguments, values of options) are passed over; where nothing fits, files are offered. */
function bashScript(program: Command, zsh: boolean): string {
  const nodes = nodesOf(program, '');
  const valued = new Set(nodes.flatMap(node => node.options.filter(takesValue).flatMap(flagsOf)));
  const paths = nodes.filter(node => node.path !== '').map(node => `"${node.path}"`);
  const choices = nodes.flatMap(node =>
    node.options.flatMap(option =>
      option.argChoices === undefined
        ? []
        : [
            `    "${node.path} ${option.long ?? ''}") COMPREPLY=($(compgen -W "${option.argChoices.join(' ')}" -- "$current")); return ;;`,
          ],
    ),
  );
  const cases = nodes.map(node => {
    const flags = [...node.options.flatMap(option => option.long ?? []), '--help'];
    return `    "${node.path}") words="${node.words.join(' ')}"; flags="${flags.join(' ')}" ;;`;
  });
  return [
    ...(zsh ? ['autoload -U +X bashcompinit && bashcompinit'] : []),
    '_obstandby() {',
    '  local current="${COMP_WORDS[COMP_CWORD]}" before="" path="" word words="" flags=""',
    '  for word in "${COMP_WORDS[@]:1:COMP_CWORD-1}"; do',
    '    case "$before" in',
    `      ${[...valued].join('|')}) before=""; continue ;;`,
    '    esac',
    '    before="$word"',
    '    case "${path:+$path }$word" in',
    `      ${paths.join('|')}) path="\${path:+$path }$word" ;;`,
    '    esac',
    '  done',
    '  COMPREPLY=()',
    '  case "$path $before" in',
    ...choices,
    '  esac',
    '  case "$before" in',
    `    ${[...valued].join('|')}) return ;;`,
    '  esac',
    '  case "$path" in',
    ...cases,
    '  esac',
    '  case "$current" in -*) words="$flags" ;; esac',
    '  COMPREPLY=($(compgen -W "$words" -- "$current"))',
    '}',
    'complete -o default -F _obstandby obstandby',
  ].join('\n');
}

const fishText = (text: string): string => `'${text.replaceAll("'", '’')}'`;

function fishScript(program: Command): string {
  const lines: string[] = [];
  const add = (condition: string, ...parts: string[]): void => {
    lines.push(`complete -c obstandby -n '${condition}' ${parts.join(' ')}`);
  };
  const addOptions = (condition: string, command: Command): void => {
    for (const option of command.options) {
      if (option.long === undefined || option.long === null) continue;
      add(
        condition,
        ...(takesValue(option) ? ['-r'] : []),
        `-l ${option.long.slice(2)}`,
        `-d ${fishText(option.description)}`,
      );
    }
  };
  const addBelow = (here: string, command: Command): void => {
    addOptions(here, command);
    const children = command.commands.map(child => child.name());
    for (const child of command.commands) {
      add(
        `${here}; and not __fish_seen_subcommand_from ${children.join(' ')}`,
        '-f',
        `-a ${child.name()}`,
        `-d ${fishText(child.description())}`,
      );
      addBelow(`${here}; and __fish_seen_subcommand_from ${child.name()}`, child);
    }
  };
  for (const command of program.commands) {
    const name = command.name();
    add('__fish_use_subcommand', '-f', `-a ${name}`, `-d ${fishText(command.description())}`);
    const here = `__fish_seen_subcommand_from ${name}`;
    addBelow(here, command);
  }
  return lines.join('\n');
}
