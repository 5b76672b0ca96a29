"""stub"""


class Study: ...
