"""Python expressions evaluated on `ast`: whitelisted nodes, built-ins and methods, bounded work."""

import ast
from collections.abc import Callable
from typing import Any

from workshop_lib.sandbox.stand_ins.questions.model import Capacity
from workshop_lib.sandbox.stand_ins.questions.python_known import (
    BUILTINS,
    COMPARE,
    METHODS,
    SIZE,
    UNARY,
    SpentError,
    UnknownError,
    binary,
    guarded,
)


class Evaluator:
    """Evaluates expressions for one capacity: `2 * steps ** 2` operations, built-ins and methods by knowledge."""

    def __init__(self, capacity: Capacity) -> None:
        self.knowledge, self.budget = capacity.knowledge, 2 * capacity.steps**2
        self.names: dict[str, Any] = {}
        self.printed: list[str] = []
        self.last: Any = None
        self.statement = 0
        self.depth = 0

    def tick(self) -> None:
        """Spend one operation; raises SpentError when none is left."""
        if self.budget <= 0:
            raise SpentError
        self.budget -= 1

    def value(self, node: ast.expr) -> Any:
        """Evaluate one expression of a whitelisted kind; raises UnknownError for any other."""
        handler = getattr(self, f"on_{type(node).__name__.lower()}", None)
        if handler is None or self.depth > 40:
            raise UnknownError(type(node).__name__)
        self.depth += 1
        result = guarded(handler(node))
        self.depth -= 1
        if not isinstance(node, ast.Constant | ast.Name):
            self.last = result
        return result

    def on_constant(self, node: ast.Constant) -> Any:
        """Return a literal."""
        return node.value

    def on_name(self, node: ast.Name) -> Any:
        """Return what a name stands for: a variable first, then a built-in."""
        if node.id in self.names:
            return self.names[node.id]
        return self.builtin(node.id)

    def builtin(self, name: str) -> Any:
        """Return a known built-in; `map` and `filter` work at once and give lists."""
        level, function = BUILTINS.get(name, (9, None))
        if level > self.knowledge:
            raise UnknownError(name)
        if name == "map":
            return lambda function, *rows: [function(*row) for row in zip(*rows, strict=False)]
        if name == "filter":
            return lambda function, items: [item for item in items if (function(item) if function else item)]
        return function

    def on_list(self, node: ast.List) -> Any:
        """Build a list."""
        return self.items(node.elts)

    def on_tuple(self, node: ast.Tuple) -> Any:
        """Build a tuple."""
        return tuple(self.items(node.elts))

    def on_set(self, node: ast.Set) -> Any:
        """Build a set."""
        return set(self.items(node.elts))

    def on_dict(self, node: ast.Dict) -> Any:
        """Build a dict, `**` entries unpacked."""
        built: dict[Any, Any] = {}
        for name, item in zip(node.keys, node.values, strict=True):
            built.update({self.value(name): self.value(item)} if name else self.value(item))
        return built

    def on_binop(self, node: ast.BinOp) -> Any:
        """Apply a binary operator."""
        a, b = self.value(node.left), self.value(node.right)
        self.tick()
        return binary(node.op, a, b)

    def on_unaryop(self, node: ast.UnaryOp) -> Any:
        """Apply a sign, `not` or `~`."""
        return UNARY[type(node.op)](self.value(node.operand))

    def on_boolop(self, node: ast.BoolOp) -> Any:
        """Evaluate `and` / `or` from the left as far as needed."""
        self.tick()
        stop = isinstance(node.op, ast.Or)
        result: Any = None
        for item in node.values:
            result = self.value(item)
            if bool(result) is stop:
                break
        return result

    def on_compare(self, node: ast.Compare) -> Any:
        """Evaluate a chain of comparisons."""
        left = self.value(node.left)
        self.tick()
        for sign, item in zip(node.ops, node.comparators, strict=True):
            right = self.value(item)
            if not COMPARE[type(sign)](left, right):
                return False
            left = right
        return True

    def on_ifexp(self, node: ast.IfExp) -> Any:
        """Evaluate the branch that the test picks."""
        return self.value(node.body if self.value(node.test) else node.orelse)

    def on_slice(self, node: ast.Slice) -> Any:
        """Build a slice; a step is known from knowledge 2."""
        if node.step and self.knowledge < 2:
            raise UnknownError("step")
        return slice(*(self.value(part) if part else None for part in (node.lower, node.upper, node.step)))

    def on_subscript(self, node: ast.Subscript) -> Any:
        """Take an item or a slice."""
        holder, index = self.value(node.value), self.value(node.slice)
        self.tick()
        return holder[index]

    def on_joinedstr(self, node: ast.JoinedStr) -> Any:
        """Build an f-string."""
        return "".join(str(self.value(part)) for part in node.values)

    def on_formattedvalue(self, node: ast.FormattedValue) -> Any:
        """Format one value of an f-string; the width has three digits at most."""
        self.tick()
        spec = str(self.value(node.format_spec)) if node.format_spec else ""
        if any(len(run) > 3 for run in "".join(c if c.isdigit() else " " for c in spec).split()):
            raise UnknownError("wide format")
        item = self.value(node.value)
        return format(repr(item) if node.conversion == ord("r") else item, spec)

    def on_namedexpr(self, node: ast.NamedExpr) -> Any:
        """Bind a name inside an expression."""
        result = self.value(node.value)
        self.bind(node.target, result)
        return result

    def on_lambda(self, node: ast.Lambda) -> Any:
        """Build a function from one expression."""
        words = [word.arg for word in node.args.args]

        def call(*values: Any) -> Any:
            outer, self.names = self.names, {**self.names, **dict(zip(words, values, strict=True))}
            try:
                self.tick()
                return self.value(node.body)
            finally:
                self.names = outer

        return call

    def on_call(self, node: ast.Call) -> Any:
        """Call a known built-in, a known method or a function of the snippet."""
        target = self.method(node.func) if isinstance(node.func, ast.Attribute) else self.value(node.func)
        values = self.items(node.args)
        options = {word.arg: self.value(word.value) for word in node.keywords if word.arg}
        self.tick()
        if target is range or getattr(target, "__name__", "") in ("zfill", "center", "ljust", "rjust"):
            if any(isinstance(item, int) and abs(item) > SIZE for item in values):
                raise UnknownError("huge range or width")
        elif target is pow or target is BUILTINS["pow"][1]:
            return (
                binary(ast.Pow(), *values[:2]) % values[2] if len(values) == 3 else binary(ast.Pow(), *values)
            )
        return target(*values, **options)

    def method(self, node: ast.Attribute) -> Any:
        """Return a whitelisted method of a str, list, dict, set or tuple; raises UnknownError for any other attribute."""
        holder = self.value(node.value)
        level = METHODS.get(type(holder), {}).get(node.attr, 9)
        if level > self.knowledge:
            raise UnknownError(node.attr)
        if node.attr in ("replace", "join"):
            return lambda *values: self.grown(holder, node.attr, values)
        if node.attr in ("keys", "values", "items"):
            return lambda: list(getattr(holder, node.attr)())
        return getattr(holder, node.attr)

    def grown(self, holder: str, name: str, values: tuple[Any, ...]) -> str:
        """Call a str method whose result can outgrow its input."""
        longest = len(holder) * sum(len(item) for item in values if isinstance(item, str | list | tuple))
        if longest > SIZE * 10:
            raise UnknownError("huge text")
        return str(getattr(holder, name)(*values))

    def on_listcomp(self, node: ast.ListComp) -> Any:
        """Evaluate a list comprehension."""
        return self.rounds(node.generators, lambda: self.value(node.elt))

    def on_generatorexp(self, node: ast.GeneratorExp) -> Any:
        """Evaluate a generator at once, as a list."""
        return self.rounds(node.generators, lambda: self.value(node.elt))

    def on_setcomp(self, node: ast.SetComp) -> Any:
        """Evaluate a set comprehension."""
        return set(self.rounds(node.generators, lambda: self.value(node.elt)))

    def on_dictcomp(self, node: ast.DictComp) -> Any:
        """Evaluate a dict comprehension."""
        return dict(self.rounds(node.generators, lambda: (self.value(node.key), self.value(node.value))))

    def rounds(self, generators: list[ast.comprehension], make: Callable[[], Any]) -> list[Any]:
        """Run nested comprehension loops, one operation a round, names kept inside."""
        outer = dict(self.names)
        built: list[Any] = []
        self.loop(generators, make, built)
        self.names = outer
        return built

    def loop(self, generators: list[ast.comprehension], make: Callable[[], Any], built: list[Any]) -> None:
        """Run the first loop and, inside it, the rest."""
        if not generators:
            built.append(make())
            return
        for item in self.value(generators[0].iter):
            self.tick()
            self.bind(generators[0].target, item)
            if all(self.value(test) for test in generators[0].ifs):
                self.loop(generators[1:], make, built)

    def bind(self, target: ast.expr, value: Any) -> None:
        """Bind a value to a name, an item, a slice or several names."""
        if isinstance(target, ast.Name):
            self.names[target.id] = value
        elif isinstance(target, ast.Subscript):
            self.value(target.value)[self.value(target.slice)] = value
        elif isinstance(target, ast.Tuple | ast.List):
            self.unpack(target.elts, list(value))
        else:
            raise UnknownError(type(target).__name__)

    def unpack(self, targets: list[ast.expr], values: list[Any]) -> None:
        """Bind several targets, one of them possibly starred."""
        star = next((at for at, item in enumerate(targets) if isinstance(item, ast.Starred)), None)
        if star is not None:
            rest = len(targets) - star - 1
            middle = values[star : len(values) - rest]
            values = [*values[:star], middle, *values[len(values) - rest :]]
            targets = [item.value if isinstance(item, ast.Starred) else item for item in targets]
        for item, value in zip(targets, values, strict=True):
            self.bind(item, value)

    def items(self, nodes: list[ast.expr]) -> list[Any]:
        """Evaluate a row of expressions, stars unpacked."""
        row: list[Any] = []
        for node in nodes:
            row.extend(self.value(node.value) if isinstance(node, ast.Starred) else [self.value(node)])
        return row
