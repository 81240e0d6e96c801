/**
 * Serves the command packets of a logged-in connection: each is decoded, run by the session, and answered in one socket
 * write. Whatever a client sends, the outcome is an answer, an error packet, or a closed connection.
 */
import { isUtf8 } from 'node:buffer';
import { ObError } from '../base/errors.ts';
import type { Cell, Column } from '../tenant/engine.ts';
import { type PreparedStatement, PreparedStatements } from './prepared-statements.ts';
import { encodeEnd, encodeOk } from './protocol/answers.ts';
import { ByteReader } from './protocol/byte-reader.ts';
import type { PacketChannel } from './protocol/packet-channel.ts';
import type { Packet } from './protocol/packet-reader.ts';
import type { PacketWriter } from './protocol/packet-writer.ts';
import {
  encodeDeclaredColumns,
  encodeParameters,
  encodeResultSet,
  type ResultFrame,
} from './protocol/result-set.ts';
import { decodeParameters } from './protocol/statement-parameters.ts';
import { capability, command, status } from './protocol/wire-constants.ts';
import type { Session, StatementAnswer, StatementText } from './session.ts';

interface CommandOptions {
  readonly channel: PacketChannel;
  readonly writer: PacketWriter;
  readonly session: Session;
  readonly capabilities: number;
  readonly resultBytesMax: number;
  /** one line of text for COM_STATISTICS */
  readonly statistics: () => string;
}

export class ConnectionCommands {
  readonly #channel: PacketChannel;
  readonly #writer: PacketWriter;
  readonly #session: Session;
  readonly #capabilities: number;
  readonly #resultBytesMax: number;
  readonly #statistics: () => string;
  readonly #prepared = new PreparedStatements();
  #multiStatements: boolean;

  constructor(options: CommandOptions) {
    this.#channel = options.channel;
    this.#writer = options.writer;
    this.#session = options.session;
    this.#capabilities = options.capabilities;
    this.#resultBytesMax = options.resultBytesMax;
    this.#statistics = options.statistics;
    this.#multiStatements = (options.capabilities & capability.multiStatements) !== 0;
  }

  /** Serves one command but COM_QUIT and COM_CHANGE_USER, which are the connection's. Throws what to tell the client. */
  serve(packet: Packet): Promise<void> {
    const { payload } = packet;
    const sequence = packet.sequence + 1;
    if (payload[0] === command.statementExecute) return this.#execute(payload, sequence);
    if (payload[0] === command.query) return this.#query(payload, sequence);
    return this.#serveOther(payload, sequence);
  }

  async #serveOther(payload: Buffer, sequence: number): Promise<void> {
    switch (payload[0]) {
      case command.statementPrepare:
        return this.#prepare(payload, sequence);
      case command.statementClose:
        this.#prepared.remove(new ByteReader(payload, 1).u32('statement id'));
        return;
      case command.statementSendLongData:
        return this.#longData(payload);
      case command.statementReset:
        return this.#resetStatement(payload, sequence);
      case command.statementFetch:
        // No cursors are opened here, so there is none to fetch from.
        throw new ObError('OBS_SQL_UNKNOWN_PREPARED', {
          statement: new ByteReader(payload, 1).u32('statement id'),
          command: 'mysqld_stmt_fetch',
        });
      case command.ping:
        return this.#ok(sequence);
      case command.initDb:
        await this.#session.useSchema(payload.toString('utf8', 1));
        return this.#ok(sequence);
      case command.fieldList:
        return this.#fieldList(payload, sequence);
      case command.statistics:
        this.#writer.start(sequence).begin().text(this.#statistics()).end();
        return this.#channel.send(this.#writer.take());
      case command.setOption:
        this.#multiStatements = new ByteReader(payload, 1).u16('option') === 0;
        encodeEnd(this.#writer.start(sequence), this.#capabilities, this.#frame());
        return this.#channel.send(this.#writer.take());
      case command.resetConnection:
        await this.#session.reset();
        this.#prepared.clear();
        return this.#ok(sequence);
      default:
        throw new ObError('OBS_SQL_UNKNOWN_COMMAND', { command: payload[0] ?? 'none' });
    }
  }

  #frame(moreResults = false): ResultFrame {
    return {
      capabilities: this.#capabilities,
      schema: this.#session.schema ?? '',
      status: this.#session.statusFlags | (moreResults ? status.moreResults : 0),
      warnings: this.#session.warningCount,
    };
  }

  #ok(sequence: number): Promise<void> | undefined {
    encodeOk(this.#writer.start(sequence), {
      changes: 0,
      lastInsertId: 0,
      info: '',
      status: this.#session.statusFlags,
      warnings: this.#session.warningCount,
    });
    return this.#channel.send(this.#writer.take());
  }

  async #query(payload: Buffer, sequence: number): Promise<void> {
    const source = statementText(payload);
    const statements = this.#session.split(source);
    if (statements.length <= 1) {
      const text = statements[0] ?? '';
      const answer = await this.#session.run({ text, textIsBytes: source.textIsBytes }, []);
      this.#encode(answer, 'text', sequence);
      return this.#send();
    }
    if (!this.#multiStatements) {
      throw new ObError('OBS_SQL_SYNTAX', {
        message: 'several statements in one text, and the client did not ask for CLIENT_MULTI_STATEMENTS',
      });
    }
    let next = sequence;
    for (const [index, text] of statements.entries()) {
      if (this.#channel.closed) return;
      let answer: StatementAnswer;
      try {
        answer = await this.#session.run({ text, textIsBytes: source.textIsBytes }, []);
      } catch (error) {
        throw new NumberedError(error, next);
      }
      next = this.#encode(answer, 'text', next, index < statements.length - 1);
      await this.#send();
    }
  }

  /** What the writer has. */
  #send(): Promise<void> | undefined {
    return this.#channel.send(this.#writer.take());
  }

  /** Into the writer. Returns the number of the next packet. */
  #encode(
    answer: StatementAnswer,
    protocol: 'text' | 'binary',
    sequence: number,
    moreResults = false,
  ): number {
    const frame = this.#frame(moreResults);
    const writer = this.#writer.start(sequence, this.#resultBytesMax);
    if (answer.kind === 'ok') {
      encodeOk(writer, {
        changes: answer.changes,
        lastInsertId: answer.lastInsertId,
        info: answer.info,
        status: frame.status,
        warnings: frame.warnings,
      });
    } else encodeResultSet(writer, answer, protocol, frame);
    return writer.sequence;
  }

  async #prepare(payload: Buffer, sequence: number): Promise<void> {
    const source = statementText(payload);
    if (this.#session.split(source).length > 1) throw new ObError('OBS_SQL_MULTIPLE_IN_PREPARE');
    const plans = await this.#session.translate(source);
    const columns = await this.#session.describe(plans);
    const [plan] = plans;
    const kept = plans.length === 1 && plan?.kind === 'engine' && plan.stable === true ? plan : null;
    const statement = this.#prepared.add(source, this.#session.countParameters(source), kept);
    this.#answerPrepare(statement, columns, sequence);
    await this.#channel.send(this.#writer.take());
  }

  #answerPrepare(statement: PreparedStatement, columns: readonly Column[], sequence: number): void {
    const frame = this.#frame();
    const withEof = (this.#capabilities & capability.deprecateEof) === 0;
    const writer = this.#writer.start(sequence);
    writer
      .begin()
      .u8(0)
      .u32(statement.id)
      .u16(columns.length)
      .u16(statement.parameterCount)
      .u8(0)
      .u16(this.#session.warningCount)
      .end();
    if (statement.parameterCount > 0) {
      encodeParameters(writer, statement.parameterCount, frame);
      if (withEof) encodeEnd(writer, this.#capabilities, frame);
    }
    if (columns.length > 0) {
      encodeDeclaredColumns(writer, columns, frame);
      if (withEof) encodeEnd(writer, this.#capabilities, frame);
    }
  }

  async #execute(payload: Buffer, sequence: number): Promise<void> {
    const reader = new ByteReader(payload, 1);
    const statement = this.#prepared.get(reader.u32('statement id'), 'mysqld_stmt_execute');
    // Cursor flags: every result is sent whole, which the protocol allows.
    reader.skip(1 + 4, 'execute head');
    let parameters: readonly Cell[];
    try {
      if (statement.longDataError !== null) throw statement.longDataError;
      const decoded = decodeParameters(reader, statement.parameterCount, statement.types, statement.longData);
      statement.types = decoded.types;
      parameters = decoded.values;
    } finally {
      this.#prepared.dropLongData(statement);
    }
    const answer =
      statement.plan === null
        ? await this.#session.run(statement.source, parameters)
        : await this.#session.runPrepared(statement.plan, parameters);
    this.#encode(answer, 'binary', sequence);
    const sent = this.#send();
    if (sent !== undefined) await sent;
  }

  #longData(payload: Buffer): void {
    const reader = new ByteReader(payload, 1);
    const id = reader.u32('statement id');
    const position = reader.u16('parameter number');
    this.#prepared.addLongData(id, position, reader.rest());
  }

  #resetStatement(payload: Buffer, sequence: number): Promise<void> | undefined {
    const id = new ByteReader(payload, 1).u32('statement id');
    this.#prepared.dropLongData(this.#prepared.get(id, 'mysqld_stmt_reset'));
    return this.#ok(sequence);
  }

  async #fieldList(payload: Buffer, sequence: number): Promise<void> {
    const table = new ByteReader(payload, 1).nulTerminated('table', true);
    const columns = await this.#session.columnsOf(table);
    const frame = this.#frame();
    const writer = this.#writer.start(sequence);
    encodeDeclaredColumns(writer, columns, frame, { withDefault: true });
    encodeEnd(writer, this.#capabilities, frame);
    await this.#channel.send(writer.take());
  }
}

/** An error in the middle of an answer: its packet continues the numbering. */
export class NumberedError extends Error {
  override readonly name = 'NumberedError';
  readonly sequence: number;

  constructor(cause: unknown, sequence: number) {
    super('an error with its packet number', { cause });
    this.sequence = sequence;
  }
}

/** Text behind the command byte. Bytes that are not UTF-8 are kept as they are, one character each. */
function statementText(payload: Buffer): StatementText {
  const bytes = payload.subarray(1);
  return isUtf8(bytes)
    ? { text: bytes.toString('utf8'), textIsBytes: false }
    : { text: bytes.toString('latin1'), textIsBytes: true };
}
