/** `obstandby completion bash|zsh|fish`: completion scripts made from the command tree itself. */
import { Argument, type Command } from 'commander';

export function addCompletion(program: Command): void {
  program
    .command('completion')
    .addArgument(new Argument('<shell>').choices(['bash', 'zsh', 'fish']))
    .description('print a completion script for your shell')
    .addHelpText('after', '\nExample:\n  source <(obstandby completion bash)')
    .action((shell: string) => {
      console.log(shell === 'fish' ? fishScript(program) : bashScript(program, shell === 'zsh'));
    });
}

interface Node {
  readonly path: string;
  readonly words: readonly string[];
}

/** Each command path with the words that may follow it. */
function nodesOf(command: Command, path: string): Node[] {
  const words = [
    ...command.commands.map(child => child.name()),
    ...command.options.flatMap(option =>
      option.long === undefined || option.long === null ? [] : [option.long],
    ),
    '--help',
  ];
  return [
    { path, words },
    ...command.commands.flatMap(child => nodesOf(child, `${path} ${child.name()}`.trim())),
  ];
}

function bashScript(program: Command, zsh: boolean): string {
  const cases = nodesOf(program, '').map(({ path, words }) => `    "${path}") words="${words.join(' ')}" ;;`);
  return [
    ...(zsh ? ['autoload -U +X bashcompinit && bashcompinit'] : []),
    '_obstandby() {',
    '  local path="" word words=""',
    '  for word in "${COMP_WORDS[@]:1:COMP_CWORD-1}"; do',
    '    case "$word" in -*) ;; *) [ -z "$path" ] && path="$word" || { case "$path $word" in',
    `      ${nodesOf(program, '')
      .filter(node => node.path.includes(' '))
      .map(node => `"${node.path}"`)
      .join('|')}) path="$path $word" ;;`,
    '      esac; } ;; esac',
    '  done',
    '  case "$path" in',
    ...cases,
    '  esac',
    '  COMPREPLY=($(compgen -W "$words" -- "${COMP_WORDS[COMP_CWORD]}"))',
    '}',
    'complete -o default -F _obstandby obstandby',
  ].join('\n');
}

function fishScript(program: Command): string {
  const lines = ['complete -c obstandby -f'];
  for (const command of program.commands) {
    lines.push(
      `complete -c obstandby -n __fish_use_subcommand -a ${command.name()} -d '${command.description().replaceAll("'", '’')}'`,
    );
    for (const child of command.commands) {
      lines.push(
        `complete -c obstandby -n '__fish_seen_subcommand_from ${command.name()}' -a ${child.name()} -d '${child.description().replaceAll("'", '’')}'`,
      );
    }
    for (const option of command.options) {
      if (option.long)
        lines.push(
          `complete -c obstandby -n '__fish_seen_subcommand_from ${command.name()}' -l ${option.long.slice(2)} -d '${option.description.replaceAll("'", '’')}'`,
        );
    }
  }
  return lines.join('\n');
}
