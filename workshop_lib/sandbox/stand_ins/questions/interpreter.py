"""Python snippets run statement by statement on top of the evaluator: assignments, loops, branches, functions."""

import ast
from collections.abc import Callable
from typing import Any

from workshop_lib import syntax
from workshop_lib.sandbox.stand_ins.questions.evaluator import Evaluator
from workshop_lib.sandbox.stand_ins.questions.python_known import Leave, UnknownError, binary, guarded


class Interpreter(Evaluator):
    """Runs a snippet within the evaluator's bounds and keeps what it prints."""

    def run(self, body: list[ast.stmt]) -> Any:
        """Run statements in order and return the value of the last expression."""
        for self.statement, node in enumerate(body):
            self.execute(node)
        return self.last

    def block(self, body: list[ast.stmt]) -> None:
        """Run the statements of an inner block."""
        for node in body:
            self.execute(node)

    def execute(self, node: ast.stmt) -> None:
        """Run one statement of a whitelisted kind."""
        handler = getattr(self, f"do_{type(node).__name__.lower()}", None)
        if handler is None:
            raise UnknownError(type(node).__name__)
        handler(node)

    def do_expr(self, node: ast.Expr) -> None:
        """Evaluate an expression; a print goes to the output."""
        call = node.value
        if isinstance(call, ast.Call) and isinstance(call.func, ast.Name) and call.func.id == "print":
            self.show(call)
        else:
            self.last = self.value(call)

    def show(self, call: ast.Call) -> None:
        """Print the arguments with `sep` and `end`."""
        options = {word.arg: self.value(word.value) for word in call.keywords}
        parts = [str(item) for item in self.items(call.args)]
        self.printed.append(str(options.get("sep", " ")).join(parts) + str(options.get("end", "\n")))

    def do_assign(self, node: ast.Assign) -> None:
        """Bind a value to every target."""
        self.tick()
        value = self.value(node.value)
        for target in node.targets:
            self.bind(target, value)

    def do_augassign(self, node: ast.AugAssign) -> None:
        """Update a name or an item in place, as += does on a list."""
        self.tick()
        load = syntax.parse(ast.unparse(node.target), "eval").body
        old, new = self.value(load), self.value(node.value)
        if isinstance(old, list) and isinstance(node.op, ast.Add):
            old.extend(new)
            guarded(old)
        else:
            self.bind(node.target, binary(node.op, old, new))

    def do_for(self, node: ast.For) -> None:
        """Run a for loop, one operation a round."""
        for item in self.value(node.iter):
            self.tick()
            self.bind(node.target, item)
            if self.round(node.body) == "break":
                return
        self.block(node.orelse)

    def do_while(self, node: ast.While) -> None:
        """Run a while loop, one operation a round."""
        while self.value(node.test):
            self.tick()
            if self.round(node.body) == "break":
                return
        self.block(node.orelse)

    def round(self, body: list[ast.stmt]) -> str:
        """Run a loop body once and say whether it was left by break or continue."""
        try:
            self.block(body)
        except Leave as leave:
            if leave.kind == "return":
                raise
            return leave.kind
        return ""

    def do_if(self, node: ast.If) -> None:
        """Run the branch that the test picks."""
        self.block(node.body if self.value(node.test) else node.orelse)

    def do_break(self, _node: ast.Break) -> None:
        """Leave the loop."""
        raise Leave("break")

    def do_continue(self, _node: ast.Continue) -> None:
        """Go to the next round."""
        raise Leave("continue")

    def do_pass(self, _node: ast.Pass) -> None:
        """Do nothing."""

    def do_delete(self, node: ast.Delete) -> None:
        """Delete names or items."""
        for target in node.targets:
            if isinstance(target, ast.Subscript):
                del self.value(target.value)[self.value(target.slice)]

    def do_return(self, node: ast.Return) -> None:
        """Leave the function with a value."""
        raise Leave("return", self.value(node.value) if node.value else None)

    def do_functiondef(self, node: ast.FunctionDef) -> None:
        """Define a function with plain parameters and defaults."""
        self.names[node.name] = self.closure(
            [word.arg for word in node.args.args], node.args.defaults, node.body
        )

    def closure(self, words: list[str], defaults: list[ast.expr], body: list[ast.stmt]) -> Callable[..., Any]:
        """Return a callable that runs the body with its own names."""
        late = dict(
            zip(words[len(words) - len(defaults) :], [self.value(item) for item in defaults], strict=True)
        )

        def call(*values: Any) -> Any:
            outer, self.names = self.names, {**self.names, **late, **dict(zip(words, values, strict=False))}
            try:
                self.tick()
                self.block(body)
            except Leave as leave:
                return leave.value
            finally:
                self.names = outer
            return None

        return call
